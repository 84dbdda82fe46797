import { QUARANTINE_REASONS, type QuarantineReason } from '@core/metering';
import {
  QUARANTINE_STATES,
  type QuarantineEntry,
  type QuarantineFilter,
  type QuarantineState,
  type SettledMany,
} from '@io/metering';
import {
  Flag,
  Id,
  Instant,
  Int,
  JsonObject,
  ListOf,
  Nested,
  OneOf,
  PageQuery,
  Text,
} from '@io/platform';

const CAME = { optional: true, description: 'Those that came from then on.' };
const CAME_BEFORE = { optional: true, description: 'Those that came before.' };

export class QuarantineQuery extends PageQuery {
  @Id({ optional: true })
  gatewayId?: string;

  @OneOf(QUARANTINE_REASONS, { optional: true })
  reason?: QuarantineReason;

  @OneOf(QUARANTINE_STATES, { optional: true })
  state?: QuarantineState;

  @Instant(CAME)
  from?: string;

  @Instant(CAME_BEFORE)
  to?: string;

  toFilter(): QuarantineFilter {
    const { gatewayId, reason, state } = this;
    return { gatewayId, reason, state, ...spanOf(this) };
  }
}

/** Which open records; without fields all of them. */
export class QuarantineFilterDto {
  @Id({ optional: true })
  gatewayId?: string;

  @OneOf(QUARANTINE_REASONS, { optional: true })
  reason?: QuarantineReason;

  @Instant(CAME)
  from?: string;

  @Instant(CAME_BEFORE)
  to?: string;

  toFilter(): QuarantineFilter {
    const { gatewayId, reason } = this;
    return { gatewayId, reason, ...spanOf(this) };
  }
}

const spanOf = ({ from, to }: { from?: string; to?: string }) => ({
  from: from === undefined ? undefined : new Date(from),
  to: to === undefined ? undefined : new Date(to),
});

export class ReplayRecordDto {
  @JsonObject({
    optional: true,
    description: 'What is counted in its place; without it the record is counted as it came.',
  })
  record?: object;
}

export class DropRecordDto {
  @Text({ max: 1_024, description: 'Why it will not count; it is shown and audited.' })
  reason: string;
}

export class ReplayRecordsDto {
  @Nested(() => QuarantineFilterDto)
  filter: QuarantineFilterDto;

  @Flag({ optional: true, description: 'Only says how many would count.' })
  dryRun?: boolean;
}

export class DropRecordsDto {
  @Nested(() => QuarantineFilterDto)
  filter: QuarantineFilterDto;

  @Text({ max: 1_024, description: 'Why they will not count; it is shown and audited.' })
  reason: string;

  @Flag({ optional: true, description: 'Only says how many would be dropped.' })
  dryRun?: boolean;
}

const COUNT = { min: 0, max: 10_000 };

/** What became of the open records of a filter. */
export class SettledView {
  @Flag()
  dryRun: boolean;

  @Int({ ...COUNT, description: 'How many were open.' })
  matched: number;

  @Int({ ...COUNT, description: 'How many of them were settled, or would be; the others stay.' })
  settled: number;

  @Flag({ description: 'Whether more match than one request settles: ask again.' })
  more: boolean;

  static from(settled: SettledMany, dryRun: boolean): SettledView {
    return { dryRun, ...settled };
  }
}

class FaultView {
  @Text({ min: 0, max: 1_024, description: 'Into the record.' })
  pointer: string;

  @Text({ max: 1_024 })
  detail: string;
}

/** A record that came in a batch and could not be counted. */
export class QuarantinedRecordView {
  @Id()
  id: string;

  @OneOf(QUARANTINE_STATES)
  state: string;

  @Id()
  gatewayId: string;

  @Text({ max: 64 })
  epoch: string;

  @Int({ min: 0, max: Number.MAX_SAFE_INTEGER, description: 'Of its batch.' })
  sequence: number;

  @Int({ min: 0, max: 10_000, description: 'Its place in the batch, from 0.' })
  index: number;

  @OneOf(QUARANTINE_REASONS, { description: 'The first reason; `errors` has all.' })
  reason: string;

  @ListOf(() => FaultView, { max: 20 })
  errors: FaultView[];

  @Text({ max: 16_384, description: 'The record as it came, as JSON.' })
  text: string;

  @Flag({ description: 'Whether it was longer than what is kept: it only counts corrected.' })
  isCut: boolean;

  @Instant({
    nullable: true,
    description: 'When it says that it was; null when that is unreadable.',
  })
  at: string | null;

  @Id({ nullable: true, description: 'Whose usage it would be; null when that is not known.' })
  customerId: string | null;

  @Text({ nullable: true, max: 16_384, description: 'What was counted in its place, as JSON.' })
  corrected: string | null;

  @Text({ nullable: true, max: 1_024, description: 'Why it was dropped.' })
  dropReason: string | null;

  @Instant({ description: 'When it came.' })
  createdAt: string;

  @Instant({ nullable: true, description: 'When it was counted or dropped.' })
  settledAt: string | null;

  @Id({ nullable: true, description: 'Whose token did that.' })
  settledBy: string | null;

  static from(entry: QuarantineEntry): QuarantinedRecordView {
    const { sequence, ordinal, errors, note, at, createdAt, settledAt, ...rest } = entry;
    return {
      ...rest,
      sequence: Number(sequence),
      index: ordinal,
      errors: [...errors],
      dropReason: note,
      at: at?.toISOString() ?? null,
      createdAt: createdAt.toISOString(),
      settledAt: settledAt?.toISOString() ?? null,
    };
  }
}

export class QuarantinePage {
  @ListOf(() => QuarantinedRecordView, { max: 500 })
  items: QuarantinedRecordView[];

  @Text({ optional: true })
  next?: string;
}
