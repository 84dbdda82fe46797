import { Injectable } from '@nestjs/common';
import { explainLine, protocolsOf, type LineExplanation, type RatingSnapshot } from '@core/billing';
import type { Scope } from '@core/identity';
import { decimal, Decimal, type Period } from '@core/kernel';
import {
  UsagePartsService,
  type BatchPart,
  type RecordPart,
  type SpanPage,
  type UsageOf,
  type UsagePart,
  type UsageSpan,
} from '@io/metering';
import { InvalidRequest, NotFound, type PageQuery } from '@io/platform';
import { ExplanationsRepository, type ExplainableLine } from './explanations.repository.js';
import { partsToRate, usageOfPart } from './parts-to-rate.js';
import { TermsRepository } from './terms.repository.js';

/** What was counted for a line. The parts add up to `counted`, and with `changedSince` taken off to what was billed. */
export interface ExplainedUsage {
  readonly meter: string;
  /** Null where any kind of api counts. */
  readonly protocols: readonly string[] | null;
  /** When the price held: the period of the line, or parts of it. */
  readonly spans: readonly Period[];
  readonly timezone: string;
  /** What the line was rated for. */
  readonly billed: Decimal;
  /** What is counted of the period now. */
  readonly counted: Decimal;
  /** counted − billed: usage that came, or was taken back, since. */
  readonly changedSince: Decimal;
  /** By local day; days of nothing are left out. */
  readonly days: readonly UsagePart[];
}

/** A line, taken apart. */
export interface ExplainedLine extends ExplainableLine, LineExplanation {
  /** Null of what is not of usage: fees, sums by hand. */
  readonly usage: ExplainedUsage | null;
}

const WEEK_MS = 7 * 86_400_000;

/** Which line is asked about. */
export interface LineKey {
  readonly invoiceId: string;
  readonly lineId: string;
}

/** Why a line of an invoice says what it says: price, tiers and steps, and the usage by day, hour, batch and record. */
@Injectable()
export class ExplanationsService {
  constructor(
    private readonly lines: ExplanationsRepository,
    private readonly parts: UsagePartsService,
    private readonly terms: TermsRepository,
  ) {}

  async explain(scope: Scope, key: LineKey): Promise<ExplainedLine> {
    const { found, explanation, used } = await this.find(scope, key);
    if (!used) return { ...found, ...explanation, usage: null };
    const { meter, protocols, spans, parts, billed } = used;
    const { timezone } = found.invoice;
    const days: UsagePart[] = [];
    for (const { of, period } of parts) {
      days.push(...(await this.parts.byTime({ of, period, span: period }, 'day', timezone)));
    }
    const counted = days.reduce((sum, { quantity }) => sum.add(quantity), new Decimal(0));
    const sums = { billed, counted, changedSince: counted.sub(billed), days };
    return { ...found, ...explanation, usage: { meter, protocols, spans, timezone, ...sums } };
  }

  /** The hours of a part of a span of the line; all of the span in which it begins, when no more is told. */
  async hours(
    scope: Scope,
    key: LineKey,
    asked: Partial<Period>,
  ): Promise<{ readonly span: Period; readonly hours: readonly UsagePart[] }> {
    const { found, used } = await this.find(scope, key);
    const part = partOf(used, asked);
    const hours = await this.parts.byTime(part, 'hour', found.invoice.timezone);
    return { span: part.span, hours };
  }

  /** Every hour of usage behind a line, in order; none of a line that no usage is behind. Reads a week at a time. */
  async *allHours(scope: Scope, key: LineKey): AsyncGenerator<UsagePart> {
    const { found, used } = await this.find(scope, key);
    if (!used) return;
    const { timezone } = found.invoice;
    for (const { of, period } of used.parts) {
      for (let from = period.from; from < period.to;) {
        const to = new Date(Math.min(from.getTime() + WEEK_MS, period.to.getTime()));
        yield* await this.parts.byTime({ of, period, span: { from, to } }, 'hour', timezone);
        from = to;
      }
    }
  }

  /** The batches that a span of a day at most is made of, as far as their records are kept. */
  async batches(
    scope: Scope,
    key: LineKey,
    asked: Partial<Period>,
    query: PageQuery,
  ): Promise<SpanPage<BatchPart>> {
    const { used } = await this.find(scope, key);
    return this.parts.batches(partOf(used, asked), query);
  }

  /** The records that a span of a day at most is made of, as far as they are kept. */
  async records(
    scope: Scope,
    key: LineKey,
    asked: Partial<Period>,
    query: PageQuery,
  ): Promise<SpanPage<RecordPart>> {
    const { used } = await this.find(scope, key);
    return this.parts.records(partOf(used, asked), query);
  }

  private async find({ accountId, ...rest }: Scope, key: LineKey) {
    const scope = { accountId, ...rest };
    const found = await this.lines.line(scope, key);
    if (!found) throw new NotFound('line', key.lineId);
    const { invoice, line } = found;
    const explanation = explainLine(line, invoice.currency);
    const { rating } = explanation;
    if (rating?.meter == null) return { found, explanation, used: null };
    const protocols = protocolsOf(await this.lines.prices(accountId, rating), rating);
    const terms = await this.terms.find(scope, invoice.subscriptionId);
    if (!terms) throw new NotFound('subscription', invoice.subscriptionId);
    const { meter } = rating;
    const spans = spansOf(found, rating);
    const parts = spans.flatMap((span) =>
      partsToRate(terms.subscription, span).map((part) => ({
        period: part.period,
        of: usageOfPart(terms.subscription, part, []).flatMap((one): UsageOf[] => {
          const { customerId, usagePlanId, billedAccountId } = one;
          return [
            { accountId, customerId, usagePlanId, meter, protocols },
            ...(billedAccountId === null ? [] : [{ accountId: billedAccountId, meter, protocols }]),
          ];
        }),
      })),
    );
    const used = { meter, protocols, spans, parts, billed: decimal(rating.quantity) };
    return { found, explanation, used };
  }
}

/** When the price of a line held; of another period than the invoice's, in that period. */
function spansOf({ invoice, line }: ExplainableLine, { spans }: RatingSnapshot): readonly Period[] {
  const instants = ({ from, to }: { readonly from: string; readonly to: string }) => ({
    from: new Date(from),
    to: new Date(to),
  });
  if (spans) return spans.map(instants);
  const { source } = line;
  if (!source || !('rating' in source)) return [invoice.period];
  return [instants({ from: source.periodFrom, to: source.periodTo })];
}

/** A piece of the part of the line's period that it begins in. Refuses a line that no usage is behind. */
function partOf(
  used: { readonly parts: readonly Omit<UsageSpan, 'span'>[] } | null,
  { from, to }: Partial<Period>,
): UsageSpan {
  if (!used) {
    const detail = 'is of a line that no usage is behind';
    throw new InvalidRequest([{ pointer: '/lineId', detail }]);
  }
  const part = used.parts.find(
    ({ period }) => from === undefined || (from >= period.from && from < period.to),
  );
  if (!part) {
    const detail = 'must lie within the period of the line, while its price held';
    throw new InvalidRequest([{ pointer: '?from', detail }]);
  }
  const { of, period } = part;
  return { of, period, span: { from: from ?? period.from, to: to ?? period.to } };
}
