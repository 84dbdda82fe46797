import { Injectable } from '@nestjs/common';
import { decimal, Decimal, type Period } from '@core/kernel';
import { METERS, quantityGrowth, windowEdges, type Interval } from '@core/metering';
import { InvalidRequest, Pages, type Page, type PageQuery } from '@io/platform';
import { windowOf, type Window } from './sum-usage.js';
import {
  UsagePartsRepository,
  type BatchPart,
  type RecordPart,
  type RecordPlaceAfter,
  type UsageOf,
} from './usage-parts.repository.js';
import { UsageRepository } from './usage.repository.js';

/** What a part of a period adds to its quantity: the quantity up to its end, less that up to its begin. */
export interface UsagePart extends Period {
  readonly quantity: Decimal;
}

/** A span of a period that is taken apart, and whose period it is. */
export interface UsageSpan {
  /** One meter, of all that is counted together: several plans, or a whole account beside one. */
  readonly of: readonly UsageOf[];
  readonly period: Period;
  readonly span: Period;
}

/** A page of what makes up a span. `quantity` is the span's; `dropped` is what of it is in no record that is still kept. */
export interface SpanPage<T> extends Page<T> {
  readonly quantity: Decimal;
  readonly records: number;
  readonly kept: Decimal;
  readonly dropped: Decimal;
}

const HOUR_MS = 3_600_000;
const HOURS_MAX = 31 * 24 + 1;
/** A local day has up to 25 hours. */
const RECORDS_SPAN_HOURS_MAX = 25;

/** Takes what a period was billed for apart: by day, by hour, by batch, record by record. The parts add up. */
@Injectable()
export class UsagePartsService {
  constructor(
    private readonly parts: UsagePartsRepository,
    private readonly usage: UsageRepository,
    private readonly pages: Pages,
  ) {}

  /** The local days or hours of a span of a period that are not empty. Hours of 31 days at most. */
  async byTime(
    { of, period, span }: UsageSpan,
    interval: Exclude<Interval, 'month'>,
    timezone: string,
  ): Promise<UsagePart[]> {
    checkSpan(period, span);
    if (interval === 'hour') checkLength(span, HOURS_MAX);
    return this.growth(of, period, windowEdges(span, interval, timezone));
  }

  /** The batches of a span of a day at most, in the order in which they came. */
  async batches(of: UsageSpan, query: PageQuery): Promise<SpanPage<BatchPart>> {
    const list = `explained batches ${JSON.stringify(of)}`;
    const request = this.pages.request(query, list);
    const { window, ...sums } = await this.sums(of);
    const rows = await this.parts.batches(of.of, window, {
      isOwn: isOwn(of.of),
      after: request.after?.id ?? null,
      limit: request.limit,
    });
    const page = this.pages.page(rows, request, list, ({ receivedAt: createdAt, batchId }) => ({
      createdAt,
      id: batchId,
    }));
    return { ...page, ...sums };
  }

  /** The records of a span of a day at most, in the order of their batches. */
  async records(of: UsageSpan, query: PageQuery): Promise<SpanPage<RecordPart>> {
    const list = `explained records ${JSON.stringify(of)}`;
    const request = this.pages.request(query, list);
    const { window, ...sums } = await this.sums(of);
    const rows = await this.parts.records(of.of, window, {
      isOwn: isOwn(of.of),
      after: request.after && placeOf(request.after.id),
      limit: request.limit,
    });
    const page = this.pages.page(rows, request, list, (row) => ({
      createdAt: row.receivedAt,
      id: placeText(row),
    }));
    return { ...page, ...sums };
  }

  private async sums({ of, period, span }: UsageSpan) {
    checkSpan(period, span);
    checkLength(span, RECORDS_SPAN_HOURS_MAX);
    const window = await this.window(of, [span.from, span.to]);
    const { records, quantity } = await this.parts.kept(of, window, isOwn(of));
    const [part] = await this.growth(of, period, [span.from, span.to]);
    const [all, kept] = [part?.quantity ?? new Decimal(0), decimal(quantity)];
    return { window, quantity: all, records, kept, dropped: all.sub(kept) };
  }

  /** What each part between two edges adds to the quantity of the period: of all that is counted, added up. */
  private async growth(
    of: readonly UsageOf[],
    period: Period,
    edges: readonly Date[],
  ): Promise<UsagePart[]> {
    // What is not a sum grows from what the period had before.
    const first = edges[0] ?? period.from;
    const before = isOwn(of) && first > period.from ? [period.from] : [];
    const grown = new Map<number, Decimal>();
    const window = await this.window(of, [...before, ...edges]);
    for (const one of of) {
      const rows = isOwn(of)
        ? await this.parts.ownParts(one, window)
        : await this.parts.builtInParts(one, window);
      for (const { bucket, quantity } of quantityGrowth(rows))
        grown.set(bucket, quantity.add(grown.get(bucket) ?? 0));
    }
    return [...grown]
      .toSorted(([a], [b]) => a - b)
      .map(([bucket, quantity]) => ({
        from: window.edges[bucket - 1] ?? period.from,
        to: window.edges[bucket] ?? period.to,
        quantity,
      }))
      .filter(({ from }) => from >= first);
  }

  /** The window of all accounts: from when the first of them could have received a record of it. */
  private async window(of: readonly UsageOf[], edges: readonly Date[]): Promise<Window> {
    const accounts = new Set(of.map(({ accountId }) => accountId));
    const offsets = [];
    for (const accountId of accounts) offsets.push(await this.usage.clockOffsetMs(accountId));
    return windowOf(edges, Math.max(0, ...offsets));
  }
}

const isOwn = (of: readonly UsageOf[]): boolean => !METERS.some((one) => one === of[0]?.meter);

function checkSpan(period: Period, { from, to }: Period): void {
  if (from < period.from || from >= period.to)
    throw fault('?from', 'must lie within the period of the line');
  if (to <= from || to > period.to)
    throw fault('?to', 'must be after `from`, and within the period of the line');
}

function checkLength({ from, to }: Period, hours: number): void {
  if (to.getTime() - from.getTime() > hours * HOUR_MS)
    throw fault('?to', `must be at most ${hours} hours after \`from\``);
}

const fault = (pointer: string, detail: string) => new InvalidRequest([{ pointer, detail }]);

/** The place of a record in a page, without the space that ends it in a cursor. */
function placeText({ batchId, index, source, eventId }: RecordPart): string {
  return Buffer.from(JSON.stringify([batchId, index, source, eventId])).toString('base64url');
}

/** Reads `placeText` back; the cursor is signed, so it is what was written. */
function placeOf(text: string): RecordPlaceAfter {
  const [batchId, index, source, eventId] = JSON.parse(
    Buffer.from(text, 'base64url').toString('utf8'),
  ) as [string, number | null, string | null, string | null];
  return { batchId, index: index ?? -1, source: source ?? '', eventId: eventId ?? '' };
}
