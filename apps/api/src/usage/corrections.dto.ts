import { CORRECTION_REFUSALS, INDEX_MAX, METERS, type UsageChange } from '@core/metering';
import {
  CORRECTION_STATES,
  type CorrectionFilter,
  type CorrectionState,
  type MadeCorrections,
  type UsageCorrection,
} from '@io/metering';
import { Flag, Id, Instant, Int, JsonObject, ListOf, OneOf, PageQuery, Text } from '@io/platform';

const SEQUENCE = { min: 0, max: Number.MAX_SAFE_INTEGER };
const INDEX = { min: 0, max: INDEX_MAX };
const CORRECTIONS_MAX = 1_000;

export class CorrectionQuery extends PageQuery {
  @Id({ optional: true })
  gatewayId?: string;

  @Id({ optional: true, description: 'Those that were applied to usage of this customer.' })
  customerId?: string;

  @OneOf(CORRECTION_STATES, { optional: true })
  state?: CorrectionState;

  @Instant({ optional: true, description: 'Those that came from then on.' })
  from?: string;

  @Instant({ optional: true, description: 'Those that came before.' })
  to?: string;

  toFilter(): CorrectionFilter {
    const { gatewayId, customerId, state, from, to } = this;
    return {
      gatewayId,
      customerId,
      state,
      from: from === undefined ? undefined : new Date(from),
      to: to === undefined ? undefined : new Date(to),
    };
  }
}

/** What one record counts from now on. */
export class CorrectRecordDto {
  @Id({ description: 'The gateway that sent the record.' })
  gatewayId: string;

  @Text({ max: 64, description: 'Of its batch; of a correction by a person, its own.' })
  epoch: string;

  @Int({ ...SEQUENCE, description: 'Of its batch.' })
  sequence: number;

  @Int({ ...INDEX, description: 'Its place in the batch, from 0.' })
  index: number;

  @JsonObject({
    optional: true,
    description: 'Decimals in strings, by meter. Either these or `void`.',
  })
  quantities?: object;

  @Flag({ optional: true, description: 'It counts nothing.' })
  void?: boolean;
}

export class CorrectUsageDto {
  @ListOf(() => CorrectRecordDto, { min: 1, max: CORRECTIONS_MAX })
  corrections: CorrectRecordDto[];

  @Text({ max: 1_024, description: 'Why; it is shown and audited.' })
  reason: string;

  @Flag({ optional: true, description: 'Only says what would change.' })
  dryRun?: boolean;
}

export class DropCorrectionDto {
  @Text({ max: 1_024, description: 'Why it is not waited for; it is shown and audited.' })
  reason: string;
}

const DECIMAL = { max: 64 };

/** What corrections change of one meter of a key in an hour. */
export class UsageChangeView {
  @Id()
  customerId: string;

  @Id()
  keyId: string;

  @Instant({ description: 'The hour of UTC.' })
  hour: string;

  @OneOf(METERS)
  meter: string;

  @Text({ ...DECIMAL, description: 'What the records counted.' })
  removed: string;

  @Text({ ...DECIMAL, description: 'What they count instead.' })
  added: string;

  @Text({ ...DECIMAL, description: 'Added less removed.' })
  difference: string;

  static from({ hour, ...change }: UsageChange): UsageChangeView {
    return { ...change, hour: hour.toISOString() };
  }
}

/** What was said of a usage record, and what became of that. */
export class CorrectionView {
  @Id()
  id: string;

  @OneOf(CORRECTION_STATES, {
    description:
      'It waits until its record is rolled up; was applied; was refused, since it never can be; or was dropped by a person.',
  })
  state: string;

  @Id()
  gatewayId: string;

  @Text({
    max: 64,
    description: 'With `sequence` and `index` where it is itself, to be corrected.',
  })
  epoch: string;

  @Int(SEQUENCE)
  sequence: number;

  @Int(INDEX)
  index: number;

  @Text({ max: 64, description: 'With the next two the record that it is of.' })
  targetEpoch: string;

  @Int(SEQUENCE)
  targetSequence: number;

  @Int(INDEX)
  targetIndex: number;

  @JsonObject({ nullable: true, description: 'What counts, by meter; null when nothing does.' })
  quantities: object | null;

  @JsonObject({
    nullable: true,
    description: 'What counted before; null until it is applied, as the next nine.',
  })
  replaced: object | null;

  @Instant({ nullable: true })
  at: string | null;

  @Id({ nullable: true })
  customerId: string | null;

  @Id({ nullable: true })
  keyId: string | null;

  @Id({ nullable: true })
  apiId: string | null;

  @Text({ nullable: true, max: 128 })
  stage: string | null;

  @Text({
    nullable: true,
    min: 0,
    max: 64,
    description: 'Empty when no plan ever covered the key.',
  })
  usagePlanId: string | null;

  @Text({ nullable: true, max: 128 })
  method: string | null;

  @Text({ nullable: true, max: 1_536 })
  resourcePath: string | null;

  @Text({ nullable: true, max: 3 })
  statusClass: string | null;

  @OneOf(CORRECTION_REFUSALS, {
    nullable: true,
    description:
      'Why it was refused: its batch has no such record, the record was dropped out of the quarantine, the correction that it is of was refused or dropped, or the record is older than records are kept.',
  })
  refusal: string | null;

  @Text({
    nullable: true,
    max: 1_024,
    description: 'Why a person made it; null of one that a gateway sent.',
  })
  reason: string | null;

  @Id({ nullable: true, description: 'Whose token made it.' })
  createdBy: string | null;

  @Instant({ description: 'When it came.' })
  createdAt: string;

  @Instant({ nullable: true, description: 'When it was applied, refused or dropped.' })
  settledAt: string | null;

  @Id({ nullable: true, description: 'Whose token dropped it.' })
  settledBy: string | null;

  @Text({ nullable: true, max: 1_024, description: 'Why it was dropped.' })
  dropReason: string | null;

  static from(correction: UsageCorrection): CorrectionView {
    const { sequence, ordinal, targetSequence, targetOrdinal, ...rest } = correction;
    const { note, at, createdAt, settledAt, ...same } = rest;
    return {
      ...same,
      sequence: Number(sequence),
      index: ordinal,
      targetSequence: Number(targetSequence),
      targetIndex: targetOrdinal,
      dropReason: note,
      at: at?.toISOString() ?? null,
      createdAt: createdAt.toISOString(),
      settledAt: settledAt?.toISOString() ?? null,
    };
  }
}

export class CorrectionPage {
  @ListOf(() => CorrectionView, { max: 500 })
  items: CorrectionView[];

  @Text({ optional: true })
  next?: string;
}

/** Corrections as they were made, and what they change. */
export class MadeCorrectionsView {
  @Flag()
  dryRun: boolean;

  @ListOf(() => CorrectionView, { max: CORRECTIONS_MAX, description: 'None in a dry run.' })
  items: CorrectionView[];

  @ListOf(() => UsageChangeView, {
    max: CORRECTIONS_MAX * 2 * METERS.length,
    description: 'By customer, key, hour and meter.',
  })
  changes: UsageChangeView[];

  static from({ corrections, changes }: MadeCorrections, dryRun: boolean): MadeCorrectionsView {
    return {
      dryRun,
      items: corrections.map((one) => CorrectionView.from(one)),
      changes: changes.map((change) => UsageChangeView.from(change)),
    };
  }
}
