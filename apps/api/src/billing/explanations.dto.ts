import { AMOUNT_STEPS } from '@core/billing';
import { Decimal, type Period } from '@core/kernel';
import type { ExplainedLine } from '@io/billing';
import type { BatchPart, RecordPart, SpanPage, UsagePart } from '@io/metering';
import {
  Id,
  Instant,
  Int,
  JsonObject,
  ListOf,
  Nested,
  OneOf,
  PageQuery,
  Text,
  TextList,
  Zone,
} from '@io/platform';
import { InvoiceLineView, storedLineView } from './invoices.dto.js';
import { MoneyView, moneyView } from './money.dto.js';
import { PeriodView } from './previews.dto.js';

/** More than a period has of days, or 31 days of hours. */
const PARTS_MAX = 800;
const RECORDS_MAX = 2_147_483_647;
/** Quantities that may be below zero, where usage was taken back. */
const SIGNED = { max: 60, pattern: /^-?\d+(\.\d+)?$/, patternSays: 'be a decimal in a string' };

export class ExplanationPageQuery extends PageQuery {
  @Instant({ optional: true, description: 'From then on; the begin of the period when left out.' })
  from?: string;

  @Instant({ optional: true, description: 'Not included; a day after `from` at most.' })
  to?: string;
}

class AmountStepView {
  @OneOf(AMOUNT_STEPS, { description: 'What is added or taken off, in this order.' })
  step: (typeof AMOUNT_STEPS)[number];

  @Text({ max: 200, description: 'In major units, exact.' })
  amount: string;
}

class ExplainedUnitsView {
  @Text({ ...SIGNED, description: 'As the usage says.' })
  metered: string;

  @Text({ max: 200, description: 'After conversion and its rounding.' })
  converted: string;

  @Text({ max: 200, description: 'What of it is included in the price.' })
  included: string;

  @Text({ max: 200, description: 'What the model was asked for.' })
  charged: string;
}

class UsagePartView extends PeriodView {
  @Text({ ...SIGNED, description: 'What it adds to the quantity of the period.' })
  quantity: string;
}

class ExplainedUsageView {
  @Text({ max: 64 })
  meter: string;

  @TextList({ max: 3, itemMax: 16, nullable: true, description: 'Kinds of api; null: any.' })
  protocols: string[] | null;

  @ListOf(() => PeriodView, {
    max: 1_000,
    description: 'When its price held: the period of the line, or parts of it.',
  })
  spans: PeriodView[];

  @Zone({ description: 'Of the days.' })
  timezone: string;

  @Text({ ...SIGNED, description: 'What the line was rated for.' })
  billed: string;

  @Text({ ...SIGNED, description: 'What is counted of the period now: the sum of the days.' })
  counted: string;

  @Text({
    ...SIGNED,
    description: 'counted − billed: what came, or was taken back, after the line was rated.',
  })
  changedSince: string;

  @ListOf(() => UsagePartView, { max: PARTS_MAX, description: 'Local days with usage, in order.' })
  days: UsagePartView[];
}

class LineCreditView {
  @Id()
  creditNoteId: string;

  @Text()
  number: string;

  @Instant()
  issuedAt: string;

  @Text({ max: 500 })
  reason: string;

  @Nested(() => MoneyView, { description: 'Net.' })
  amount: MoneyView;
}

export class ExplanationView {
  @Id()
  invoiceId: string;

  @Text({ nullable: true })
  invoiceNumber: string | null;

  @Nested(() => InvoiceLineView)
  line: InvoiceLineView;

  @JsonObject({
    nullable: true,
    description:
      'The price and its version, units and tiers; of late usage those of its period. Null for a sum that was decided.',
  })
  rating: object | null;

  @Nested(() => ExplainedUnitsView, { nullable: true })
  units: ExplainedUnitsView | null;

  @ListOf(() => AmountStepView, { max: 20, description: 'They add up to the amount of the line.' })
  steps: AmountStepView[];

  @Nested(() => ExplainedUsageView, {
    nullable: true,
    description: 'Null of fees and decided sums.',
  })
  usage: ExplainedUsageView | null;

  @ListOf(() => LineCreditView, { max: 1_000, description: 'What credit notes took back of it.' })
  credits: LineCreditView[];
}

export class ExplainedHoursView extends PeriodView {
  @Text({ ...SIGNED, description: 'The sum of the hours.' })
  quantity: string;

  @ListOf(() => UsagePartView, { max: PARTS_MAX, description: 'Hours with usage, in order.' })
  items: UsagePartView[];
}

class KeptView {
  @Text({ ...SIGNED, description: 'Of the span, as its hours say.' })
  quantity: string;

  @Int({ min: 0, max: RECORDS_MAX, description: 'How many records of the span are kept.' })
  records: number;

  @Text({ ...SIGNED, description: 'The sum of these records.' })
  kept: string;

  @Text({
    ...SIGNED,
    description:
      'quantity − kept: what no kept record says, since records are dropped after a while (`TOLLGATE_USAGE_DAYS`). Of a meter that is no sum, what its records say beside the quantity.',
  })
  dropped: string;

  @Text({ optional: true, max: 1_000 })
  next?: string;
}

class ExplainedBatchView {
  @Id()
  gatewayId: string;

  @Text({ max: 64, nullable: true, description: 'Null of events.' })
  epoch: string | null;

  @Text({ max: 20, nullable: true, description: 'Null of events.' })
  sequence: string | null;

  @Instant()
  receivedAt: string;

  @Int({ min: 0, max: RECORDS_MAX, description: 'Its records in the span.' })
  records: number;

  @Text({ ...SIGNED, description: 'Their sum.' })
  quantity: string;
}

export class ExplainedBatchesView extends KeptView {
  @ListOf(() => ExplainedBatchView, { max: 500, description: 'In the order in which they came.' })
  items: ExplainedBatchView[];
}

class ExplainedRecordView {
  @Id()
  gatewayId: string;

  @Text({ max: 64, nullable: true })
  epoch: string | null;

  @Text({ max: 20, nullable: true })
  sequence: string | null;

  @Int({ min: 0, max: RECORDS_MAX, nullable: true, description: 'Its place in the batch.' })
  index: number | null;

  @Text({ max: 1_024, nullable: true, description: 'Of an event.' })
  source: string | null;

  @Text({ max: 1_024, nullable: true, description: 'Of an event.' })
  eventId: string | null;

  @Instant()
  at: string;

  @Instant()
  receivedAt: string;

  @Text({ min: 0, max: 64 })
  keyId: string;

  @Text({ min: 0, max: 64 })
  apiId: string;

  @Text({ min: 0, max: 128 })
  stage: string;

  @Text({ min: 0, max: 128 })
  method: string;

  @Text({ min: 0, max: 1_536 })
  resourcePath: string;

  @Text({ min: 0, max: 3 })
  statusClass: string;

  @Text(SIGNED)
  quantity: string;

  @TextList({ max: 100, itemMax: 140, description: 'Decisions: ids, or spans as `first..last`.' })
  decisionIds: string[];

  @Int({ min: 0, max: RECORDS_MAX, description: 'How many of them more there are.' })
  decisionIdsLeftOut: number;
}

export class ExplainedRecordsView extends KeptView {
  @ListOf(() => ExplainedRecordView, { max: 500, description: 'In the order of their batches.' })
  items: ExplainedRecordView[];
}

const periodView = ({ from, to }: Period): { from: string; to: string } => ({
  from: from.toISOString(),
  to: to.toISOString(),
});

const partView = ({ quantity, ...period }: UsagePart): UsagePartView => ({
  ...periodView(period),
  quantity: quantity.toFixed(),
});

/** An explanation as the API shows it. */
export function explanationView(explained: ExplainedLine): ExplanationView {
  const { invoice, line, rating, units, steps, usage, credits } = explained;
  const { id: invoiceId, number: invoiceNumber, currency } = invoice;
  return {
    invoiceId,
    invoiceNumber,
    line: storedLineView(line, currency),
    rating,
    units,
    steps: [...steps],
    usage: usage && {
      meter: usage.meter,
      protocols: usage.protocols && [...usage.protocols],
      spans: usage.spans.map(periodView),
      timezone: usage.timezone,
      billed: usage.billed.toFixed(),
      counted: usage.counted.toFixed(),
      changedSince: usage.changedSince.toFixed(),
      days: usage.days.map(partView),
    },
    credits: credits.map(({ amountMinor: minor, issuedAt, ...credit }) => ({
      ...credit,
      issuedAt: issuedAt.toISOString(),
      amount: moneyView({ minor, currency }),
    })),
  };
}

/** Hours as the API shows them. */
export function hoursView({
  span,
  hours,
}: {
  readonly span: Period;
  readonly hours: readonly UsagePart[];
}): ExplainedHoursView {
  const quantity = hours.reduce((sum, hour) => sum.add(hour.quantity), new Decimal(0));
  return { ...periodView(span), quantity: quantity.toFixed(), items: hours.map(partView) };
}

const keptView = ({ quantity, records, kept, dropped, next }: SpanPage<unknown>) => ({
  quantity: quantity.toFixed(),
  records,
  kept: kept.toFixed(),
  dropped: dropped.toFixed(),
  ...(next !== undefined && { next }),
});

/** Batches as the API shows them. */
export const batchesView = (page: SpanPage<BatchPart>): ExplainedBatchesView => ({
  ...keptView(page),
  items: page.items.map(({ batchId: _, receivedAt, ...batch }) => ({
    ...batch,
    receivedAt: receivedAt.toISOString(),
  })),
});

/** Records as the API shows them. */
export const recordsView = (page: SpanPage<RecordPart>): ExplainedRecordsView => ({
  ...keptView(page),
  items: page.items.map(({ batchId: _, at, receivedAt, decisionIds, ...record }) => ({
    ...record,
    at: at.toISOString(),
    receivedAt: receivedAt.toISOString(),
    decisionIds: [...decisionIds],
  })),
});
