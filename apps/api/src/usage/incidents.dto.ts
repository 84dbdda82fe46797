import type { Incident } from '@io/metering';
import { Id, Instant, Int, ListOf, OneOf, PageQuery, Text } from '@io/platform';

const KINDS = ['batch-conflict', 'event-conflict'] as const;
const HASH = {
  description:
    'SHA-256 of the content in canonical form, in hexadecimal; of events its first 8 bytes.',
};

export class IncidentQuery extends PageQuery {
  @OneOf(['true', 'false'], {
    optional: true,
    description: 'Only those that were, or were not, acknowledged.',
  })
  acknowledged?: 'true' | 'false';
}

export class AcknowledgeDto {
  @Text({ max: 1_024, description: 'Why it is settled; it is shown and audited.' })
  reason: string;
}

/** A batch number, or an event, that came again with other content. The first content stands. */
export class IncidentView {
  @Id()
  id: string;

  @OneOf(KINDS)
  kind: string;

  @Id()
  gatewayId: string;

  @Text({ nullable: true, max: 64, description: 'Of a batch.' })
  epoch: string | null;

  @Int({ nullable: true, min: 0, max: Number.MAX_SAFE_INTEGER, description: 'Of a batch.' })
  sequence: number | null;

  @Text({ nullable: true, max: 1_024, description: 'Of an event, which `eventId` is of.' })
  source: string | null;

  @Text({ nullable: true, max: 1_024, description: 'The `id` of an event.' })
  eventId: string | null;

  @Text({ ...HASH })
  firstHash: string;

  @Text({ ...HASH })
  otherHash: string;

  @Int({ min: 1, max: 2_147_483_647, description: 'How often the same content came.' })
  occurrences: number;

  @Instant()
  createdAt: string;

  @Instant()
  lastSeenAt: string;

  @Instant({ nullable: true })
  acknowledgedAt: string | null;

  @Id({ nullable: true, description: 'Whose token acknowledged it.' })
  acknowledgedBy: string | null;

  @Text({ nullable: true, max: 1_024 })
  reason: string | null;

  static from({ sequence, firstHash, otherHash, ...incident }: Incident): IncidentView {
    return {
      ...incident,
      sequence: sequence === null ? null : Number(sequence),
      firstHash: Buffer.from(firstHash).toString('hex'),
      otherHash: Buffer.from(otherHash).toString('hex'),
      createdAt: incident.createdAt.toISOString(),
      lastSeenAt: incident.lastSeenAt.toISOString(),
      acknowledgedAt: incident.acknowledgedAt?.toISOString() ?? null,
    };
  }
}

export class IncidentPage {
  @ListOf(() => IncidentView, { max: 500 })
  items: IncidentView[];

  @Text({ optional: true })
  next?: string;
}
