import { Injectable, Logger } from '@nestjs/common';
import { meteredUsage, type DraftLine } from '@core/billing';
import { decimal, Decimal } from '@core/kernel';
import {
  deadlineOf,
  finalFlushAt,
  hourOf,
  hoursAfter,
  hoursToSeal,
  meteredHours,
  ownedSpans,
  ownerOf,
  recordBody,
  sealHours,
  usageAllocations,
  usdOf,
  type TaggedUsage,
  type UsageBucket,
} from '@core/marketplace';
import { METERS } from '@core/metering';
import { RateCardsService } from '@io/billing';
import { GROUP_NAMES, UsageService, type UsageGroup } from '@io/metering';
import { messageOf, SystemClock } from '@io/platform';
import {
  SealingRepository,
  type MeteredAgreement,
  type NewRecord,
  type Sealing,
} from './sealing.repository.js';
import type { Dimension } from './product.js';

/** The queue, and the job, that freezes what was used in hours that are over. */
export const SEAL_MARKETPLACE_HOURS = 'seal-marketplace-hours';

/** So many agreements are sealed at once. */
const LANES = 4;
/** How gateways have after an outage to tell what they kept. */
const SETTLE_MS = 10 * 60_000;
/** Late usage of so many days is looked for with each hour, and older once a day. */
const LOOK_BACK_HOURS = 72;
/** Records of usage that are older than 13 months are not counted when they come. */
const LOOK_BACK_DAYS_MAX = 400;

/** Which hours of an agreement are to be sealed now. */
interface Turn {
  readonly now: Date;
  readonly hours: readonly Date[];
  readonly isLast: boolean;
  readonly isOver: boolean;
  /** Where looking for usage starts. */
  readonly since: Date;
}

/** What was used in one dimension, as far as it could have changed. */
interface Used {
  readonly buckets: readonly UsageBucket[];
  readonly byHour: ReadonlyMap<number, Decimal>;
  readonly tagged: ReadonlyMap<number, readonly TaggedUsage[]>;
}

/** Freezes hours of agreements and makes the records of them. Any number of workers may: an hour is sealed once. */
@Injectable()
export class SealingService {
  private readonly logger = new Logger('Marketplace');

  constructor(
    private readonly sealing: SealingRepository,
    private readonly usage: UsageService,
    private readonly rateCards: RateCardsService,
    private readonly clock: SystemClock,
  ) {}

  /** Seals every hour that is due, in any account, and returns how many records that made. */
  async sealDue(): Promise<number> {
    await this.sealing.look(this.clock.now());
    const rolledUp = new Map<string, Promise<void>>();
    let records = 0;
    for (let after: string | null = null; ;) {
      const due = await this.sealing.due(this.clock.now(), after);
      // Each waits for the database most of the time, and none for another.
      const lanes = Array.from({ length: LANES }, async (_, lane) => {
        for (let n = lane; n < due.length; n += LANES) {
          const made = await this.sealOne(due[n], rolledUp);
          records += made;
        }
      });
      await Promise.all(lanes);
      after = due.at(-1)?.id ?? null;
      if (after === null) return records;
    }
  }

  /** One agreement that cannot be sealed keeps no other waiting; its deadline alarms. */
  private async sealOne(
    agreement: (MeteredAgreement & { readonly offsetMs: number }) | undefined,
    rolledUp: Map<string, Promise<void>>,
  ): Promise<number> {
    if (!agreement) return 0;
    try {
      return await this.seal(agreement, rolledUp);
    } catch (error) {
      this.logger.error(`Hours of agreement ${agreement.id} were not sealed: ${messageOf(error)}`);
      return 0;
    }
  }

  private async seal(
    agreement: MeteredAgreement & { readonly offsetMs: number },
    rolledUp: Map<string, Promise<void>>,
  ): Promise<number> {
    const turn = this.turnOf(agreement);
    const last = turn.hours.at(-1);
    if (last === undefined) return 0;
    const { accountId } = agreement;
    const rollUp = rolledUp.get(accountId) ?? this.usage.rollUpNow(accountId);
    rolledUp.set(accountId, rollUp);
    await rollUp;

    const { product } = agreement;
    const meters = [];
    const records: NewRecord[] = [];
    for (const dimension of product.dimensions) {
      const { meter, sealed } = await this.sealDimension(agreement, dimension, turn);
      meters.push(meter);
      records.push(...sealed);
    }
    const sealing: Sealing = {
      sealedTo: hoursAfter(last, 1),
      lookedBackOn: dayOf(turn.now),
      meters,
      records,
    };
    const isSaved = await this.sealing.saveOnce(agreement, sealing, this.clock.now());
    return isSaved ? records.length : 0;
  }

  private turnOf(agreement: MeteredAgreement & { readonly offsetMs: number }): Turn {
    const { product, sealedTo, endingAt, endedAt, activeAt, lookedBackOn } = agreement;
    const system = this.clock.now();
    const now = new Date(system.getTime() + agreement.offsetMs);
    const { resumedAt } = product;
    const isSettling = resumedAt !== null && system.getTime() < resumedAt.getTime() + SETTLE_MS;
    const flushAt = endingAt && earlier(finalFlushAt(endingAt), endedAt);
    const lastHour = flushAt && hourOf(flushAt);
    const isOver = lastHour !== null && sealedTo > lastHour;
    const isFlush = flushAt !== null && !isOver && now >= flushAt;
    let hours = hoursToSeal(sealedTo, { ...product, now, isSettling });
    if (isFlush) hours = hoursBetween(sealedTo, lastHour ?? sealedTo);
    else if (lastHour !== null && !isOver) hours = hours.filter((hour) => hour < lastHour);
    const isFirstToday = lookedBackOn?.getTime() !== dayOf(now).getTime();
    const lookBackHours = isFirstToday ? LOOK_BACK_DAYS_MAX * 24 : LOOK_BACK_HOURS;
    const from = dayOf(hoursAfter(hours[0] ?? sealedTo, -lookBackHours));
    const since = from > activeAt ? from : dayOf(activeAt);
    return { now, hours, isLast: isFlush || isOver, isOver, since };
  }

  private async sealDimension(agreement: MeteredAgreement, dimension: Dimension, turn: Turn) {
    const { product } = agreement;
    const isAmount = dimension.rateCardId !== null;
    const since = isAmount ? monthOf(turn.since) : turn.since;
    const used = isAmount
      ? await this.usedAmount(agreement, dimension, { ...turn, since })
      : await this.usedUnits(agreement, dimension, { ...turn, since });
    const { balance: before, counted } = await this.sealing.meter(
      agreement,
      dimension.dimension,
      since,
    );
    const own = turn.hours.map((hour) => ({
      hour,
      used: used.byHour.get(hour.getTime()) ?? new Decimal(0),
    }));
    const { hours, late } = meteredHours(own, used.buckets, counted);
    const unitSize = decimal(dimension.unitSize);
    const rules = { ...product, ...turn, unitSize };
    const { sealed, balance } = sealHours(before, hours, rules);
    const carriedBefore = before.metered.sub(before.recorded.mul(unitSize));
    const records = sealed.map(({ hour, quantity, deadFor }, index): NewRecord => {
      const untagged = index === 0 ? late.add(carriedBefore) : new Decimal(0);
      const tagged = used.tagged.get(hour.getTime()) ?? [];
      const allocations = usageAllocations(quantity, tagged, untagged);
      const body = recordBody({
        buyer: agreement.buyer,
        dimension: dimension.dimension,
        hour,
        quantity,
        allocations,
      });
      const usdPerUnit = dimension.usdPerUnit === null ? null : decimal(dimension.usdPerUnit);
      return {
        dimension: dimension.dimension,
        hour,
        quantity,
        payload: JSON.stringify(body),
        batchKey: batchKeyOf(agreement),
        usd: usdOf(quantity, usdPerUnit),
        deadlineAt: deadlineOf(hour, product),
        deadFor,
      };
    });
    const meter = { dimension: dimension.dimension, balance, counted: used.buckets };
    return { meter, sealed: records };
  }

  /** Usage of a meter by day and, of the hours that are sealed, by hour and tags: only what this agreement is for. */
  private async usedUnits(
    agreement: MeteredAgreement,
    { meter }: Dimension,
    { since, hours }: Turn,
  ): Promise<Used> {
    const { accountId, customerId, product } = agreement;
    const to = hoursAfter(hours.at(-1) ?? since, 1);
    const { agreements, assignments } = await this.sealing.takers(agreement);
    const changes = [
      ...agreements.flatMap(({ activeAt, endedAt }) =>
        endedAt ? [activeAt, endedAt] : [activeAt],
      ),
      ...assignments.map(({ fromAt }) => fromAt),
    ];
    const edges = edgesOf({ from: later(since, agreement.activeAt), to }, [
      ...daysBetween(since, to),
      ...hours,
      ...hours.map((hour) => hoursAfter(hour, 1)),
      ...changes,
    ]);
    const plans = new Set(product.planIds);
    const tags = product.allocateBy.filter(isUsageGroup);
    const groups: UsageGroup[] = [...new Set<UsageGroup>(['keyId', 'usagePlanId', ...tags])];
    const buckets = new Map(daysBetween(since, to).map((day) => [day.getTime(), new Decimal(0)]));
    const byHour = new Map<number, Decimal>();
    const tagged = new Map<number, TaggedUsage[]>();
    const wanted = new Set(hours.map((hour) => hour.getTime()));
    const asked = { accountId, customerId, meter: meter ?? 'calls' };
    for (const sum of await this.usage.sums(asked, edges, groups)) {
      const at = edges[sum.bucket - 1];
      if (at === undefined || !plans.has(sum.usagePlanId ?? '')) continue;
      const owner = ownerOf({ keyId: sum.keyId ?? '', at }, agreements, assignments);
      if (owner !== agreement.id) continue;
      const quantity = decimal(sum.quantity);
      const day = dayOf(at).getTime();
      buckets.set(day, (buckets.get(day) ?? new Decimal(0)).add(quantity));
      const hour = hourOf(at).getTime();
      if (!wanted.has(hour)) continue;
      byHour.set(hour, (byHour.get(hour) ?? new Decimal(0)).add(quantity));
      const own = tags.flatMap((key) => (sum[key] ? [{ key, value: sum[key] }] : []));
      tagged.set(hour, [...(tagged.get(hour) ?? []), { tags: own, metered: quantity }]);
    }
    return { buckets: bucketsOf(buckets), byHour, tagged };
  }

  /**
   * What the usage of each month so far costs by the prices of a card: usage of an hour has no price of its own, and what a key used
   * has none without the others. So the oldest running agreement of a customer has all of it, and none is metered twice.
   */
  private async usedAmount(
    agreement: MeteredAgreement,
    { rateCardId, rateCardVersion }: Dimension,
    { since, hours }: Turn,
  ): Promise<Used> {
    const { accountId, customerId, product, activeAt } = agreement;
    const end = hoursAfter(hours.at(-1) ?? since, 1);
    const { agreements } = await this.sealing.takers(agreement);
    const buckets = new Map<number, Decimal>();
    for (let month = since; month < end; month = monthAfter(month)) {
      const period = { from: later(month, activeAt), to: earlier(monthAfter(month), end) };
      if (period.from >= period.to) continue;
      const own = ownedSpans(period, agreement.id, agreements);
      const asked = own.flatMap((span) =>
        product.planIds.map((usagePlanId) => ({
          accountId,
          customerId,
          usagePlanId,
          period: span,
          byProtocol: METERS,
        })),
      );
      const used = (await this.usage.periodUsages(asked)).flat();
      const scope = { accountId, principalId: 'marketplace' };
      const usage = meteredUsage(used);
      const version = rateCardVersion === null ? {} : { version: rateCardVersion };
      const draft = await this.rateCards.quote(scope, rateCardId ?? '', { ...version, usage });
      const amount = draft.lines.reduce(
        (sum, line) => sum.add(exactAmountOf(line)),
        new Decimal(0),
      );
      buckets.set(month.getTime(), amount.toDecimalPlaces(AMOUNT_PLACES));
    }
    return { buckets: bucketsOf(buckets), byHour: new Map(), tagged: new Map() };
  }
}

/** Decimals of an amount that the ledger keeps: of the whole month, so that nothing adds up. */
const AMOUNT_PLACES = 18;

const exactAmountOf = (line: DraftLine) => ('exactAmount' in line ? line.exactAmount : 0);

/** A product's records go together; of licences, which name no product, those of one product too. */
function batchKeyOf({ product, buyer }: MeteredAgreement): string {
  const isLicensed = typeof buyer.licenseArn === 'string';
  return `${product.region}/${isLicensed ? `licences of ${product.id}` : product.productCode}`;
}

const isUsageGroup = (name: string): name is UsageGroup => GROUP_NAMES.some((one) => one === name);
const dayOf = (at: Date) => new Date(Math.floor(at.getTime() / 86_400_000) * 86_400_000);
const monthOf = (at: Date) => new Date(Date.UTC(at.getUTCFullYear(), at.getUTCMonth()));
const monthAfter = (month: Date) =>
  new Date(Date.UTC(month.getUTCFullYear(), month.getUTCMonth() + 1));
const earlier = (a: Date, b: Date | null) => (b !== null && b < a ? b : a);
const later = (a: Date, b: Date) => (a > b ? a : b);

function hoursBetween(from: Date, last: Date): Date[] {
  const hours: Date[] = [];
  for (let hour = from; hour <= last; hour = hoursAfter(hour, 1)) hours.push(hour);
  return hours;
}

function daysBetween(from: Date, to: Date): Date[] {
  const days: Date[] = [];
  for (let day = dayOf(from); day < to; day = hoursAfter(day, 24)) days.push(day);
  return days;
}

/** The instants within a period that part it, with both ends, rising and each once. */
function edgesOf({ from, to }: { from: Date; to: Date }, at: readonly Date[]): Date[] {
  const within = at.filter((instant) => instant > from && instant < to);
  const times = new Set([from, ...within, to].map((instant) => instant.getTime()));
  return [...times].toSorted((a, b) => a - b).map((ms) => new Date(ms));
}

const bucketsOf = (sums: ReadonlyMap<number, Decimal>): UsageBucket[] =>
  [...sums].map(([ms, quantity]) => ({ bucket: new Date(ms), quantity }));
