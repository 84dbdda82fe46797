import { RECORD_STATES } from '@io/marketplace';
import { Flag, Id, Instant, Int, ListOf, OneOf, PageQuery, Text } from '@io/platform';

export class MeteringRecordsQuery extends PageQuery {
  @OneOf(RECORD_STATES, { optional: true, description: '`dead`: what waits for a person.' })
  state?: string;

  @Id({ optional: true })
  agreementId?: string;

  @Id({ optional: true })
  productId?: string;
}

export class ResolveMeteringRecordBody {
  @OneOf(['carry', 'write-off'], {
    description: '`carry`: into the next hour that is sealed. `write-off`: it is not charged.',
  })
  resolution: 'carry' | 'write-off';

  @Text({ max: 1_000, description: 'Why.' })
  note: string;
}

export class MeteringRecordView {
  @Id()
  id: string;

  @Id()
  customerId: string;

  @Id()
  agreementId: string;

  @Id()
  productId: string;

  @Text()
  dimension: string;

  @Instant()
  hour: Date;

  @Text()
  region: string;

  @Int({ min: 0, max: 2_147_483_647 })
  quantity: number;

  @Text({ nullable: true, description: 'What it is worth, in US dollars.' })
  usd: string | null;

  @OneOf(RECORD_STATES)
  state: string;

  @Instant({ description: 'From then on the marketplace refuses it.' })
  deadlineAt: Date;

  @Int({ min: 0, max: 2_147_483_647 })
  attempts: number;

  @Flag({ description: 'An attempt that was not answered may have been taken.' })
  mayBeTaken: boolean;

  @Text({ nullable: true, description: 'Why the last attempt did not succeed.' })
  cause: string | null;

  @Text({ nullable: true, description: 'Why it is dead.' })
  reason: string | null;

  @Text({ nullable: true, description: 'What the marketplace calls it.' })
  meteringRecordId: string | null;

  @Instant()
  createdAt: Date;

  @Instant({ nullable: true, description: 'When it was accepted or given up.' })
  endedAt: Date | null;

  @Instant({ nullable: true })
  settledAt: Date | null;

  @Id({ nullable: true })
  settledBy: string | null;

  @Text({ max: 1_000, nullable: true })
  note: string | null;
}

export class MeteringRecordPage {
  @ListOf(() => MeteringRecordView, { max: 500 })
  items: MeteringRecordView[];

  @Text({ optional: true })
  next?: string;
}
