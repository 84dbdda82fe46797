import assert from 'node:assert';
import { Injectable } from '@nestjs/common';
import { decimal, type Decimal, type Period } from '@core/kernel';
import { Database, Prisma } from '@io/platform';
import {
  meteredIn,
  meteredOfAccount,
  type MeteredFilter,
  type ProtocolsTold,
} from './metered-usage.js';
import {
  GROUP_COLUMNS,
  usedIn,
  type UsageFilter,
  type UsageGroup,
  type Window,
} from './sum-usage.js';

/** The quantity of a meter in one part of a window, with the values of the groups that were asked for. */
export type UsageSum = {
  readonly bucket: number;
  readonly meter: string;
  readonly quantity: string;
} & Partial<Record<UsageGroup, string>>;

/** What a plan is billed for: the sum of one meter over the apis of one protocol. */
export interface MeteredQuantity {
  readonly meter: string;
  /** Of the apis that were called: `REST`, `HTTP` or `WEBSOCKET`; '' where it is not told apart. */
  readonly protocol: string;
  readonly quantity: Decimal;
  /** How many roll-ups and how many single records were read. */
  readonly rollUpsRead: number;
  readonly recordsRead: number;
}

/** The same of one of several customers and plans. */
export interface MeteredOf extends MeteredQuantity {
  readonly customerId: string;
  readonly usagePlanId: string;
}

/** How it is read from the database. */
export type MeteredRow = Omit<MeteredOf, 'quantity'> & { readonly quantity: string };

/** What was used of a meter so far, and how much of it is not rolled up yet. */
export interface UsageSoFar {
  readonly meter: string;
  readonly quantity: string;
  /** Null where a quantity has no such part: the greatest, the last, or how many different values. */
  readonly waiting: string | null;
}

/** The largest groups of usage. */
export interface TopUsage {
  /** Of all groups, also those that are not among the items. */
  readonly total: string;
  readonly groups: number;
  readonly items: readonly TopItem[];
}

/** One group, with its part of the total from 0 to 1. */
export type TopItem = {
  readonly rank: number;
  readonly quantity: string;
  readonly share: string;
} & Partial<Record<UsageGroup, string>>;

type TopRow = TopItem & { readonly total: string; readonly groups: number };

/** What has not been counted yet, over all accounts. */
export interface UsageBacklog {
  /** Age of the oldest batch that is not rolled up; 0 when none waits. */
  readonly oldestWaitingSeconds: number;
  /** Roll-ups that were not what their records make when their day was checked, of the days that were not rebuilt since. */
  readonly differences: number;
}

/** Reads what was rolled up. */
@Injectable()
export class UsageRepository {
  constructor(private readonly db: Database) {}

  /** Sums by part of the window, meter and groups, in their order; at most `limit` of them. */
  sums(
    filter: UsageFilter,
    window: Window,
    { groups, limit }: { groups: readonly UsageGroup[]; limit: number },
  ): Promise<UsageSum[]> {
    const names: readonly UsageGroup[] = [...new Set<UsageGroup>(['meter', ...groups])];
    const columns = Prisma.join(
      names.map((name) => Prisma.sql`${GROUP_COLUMNS[name]} AS ${Prisma.raw(`"${name}"`)}`),
    );
    const keys = Prisma.join(names.map((name) => GROUP_COLUMNS[name]));
    return this.db.$queryRaw<UsageSum[]>`
      SELECT width_bucket(at, ${[...window.edges]}::timestamptz[]) AS bucket, ${columns},
        trim_scale(sum(quantity))::text AS quantity
      FROM (${usedIn(filter, window)}) used
      GROUP BY 1, ${keys}
      ORDER BY 1, ${keys}
      LIMIT ${limit}`;
  }

  /** The largest groups, equal ones in the order of their values. */
  async top(
    filter: UsageFilter,
    window: Window,
    { groups, limit }: { groups: readonly UsageGroup[]; limit: number },
  ): Promise<TopUsage> {
    const columns = Prisma.join(
      groups.map((name) => Prisma.sql`${GROUP_COLUMNS[name]} AS ${Prisma.raw(`"${name}"`)}`),
    );
    const keys = Prisma.join(groups.map((name) => GROUP_COLUMNS[name]));
    const rows = await this.db.$queryRaw<TopRow[]>`
      SELECT (row_number() OVER (ORDER BY sum(quantity) DESC, ${keys}))::int AS rank, ${columns},
        trim_scale(sum(quantity))::text AS quantity,
        trim_scale(round(coalesce(sum(quantity) / nullif(sum(sum(quantity)) OVER (), 0), 0), 6))::text AS share,
        trim_scale(sum(sum(quantity)) OVER ())::text AS total, (count(*) OVER ())::int AS groups
      FROM (${usedIn(filter, window)}) used
      GROUP BY ${keys}
      ORDER BY 1
      LIMIT ${limit}`;
    const { total = '0', groups: count = 0 } = rows[0] ?? {};
    return { total, groups: count, items: rows.map(({ total: _, groups: __, ...item }) => item) };
  }

  /** Sums of a window by meter, with what waits. */
  soFar(filter: UsageFilter, window: Window): Promise<UsageSoFar[]> {
    return this.db.$queryRaw<UsageSoFar[]>`
      SELECT meter, trim_scale(sum(quantity))::text AS quantity,
        trim_scale(coalesce(sum(quantity) FILTER (WHERE source = 'waiting'), 0))::text AS waiting
      FROM (${usedIn(filter, window)}) used
      GROUP BY meter ORDER BY meter`;
  }

  /** Whose a key is, also one that was deleted. */
  async customerOf(accountId: string, keyId: string): Promise<string | null> {
    const key = await this.db.apiKey.findUnique({
      where: { accountId_id: { accountId, id: keyId } },
      select: { customerId: true },
    });
    return key?.customerId ?? null;
  }

  /** Exact sums of a period by customer, plan, meter and protocol. */
  async metered(
    filter: MeteredFilter,
    period: Period,
    told: ProtocolsTold & { readonly clockOffsetMs: number },
  ): Promise<MeteredOf[]> {
    const rows = await this.db.$queryRaw<MeteredRow[]>(meteredIn(filter, period, told));
    return rows.map((row) => ({ ...row, quantity: decimal(row.quantity) }));
  }

  /** The same of all customers and plans of an account together. */
  async meteredOfAccount(
    accountId: string,
    period: Period,
    told: ProtocolsTold & { readonly clockOffsetMs: number },
  ): Promise<MeteredQuantity[]> {
    const rows = await this.db.$queryRaw<Omit<MeteredRow, 'customerId' | 'usagePlanId'>[]>(
      meteredOfAccount({ accountId }, period, told),
    );
    return rows.map((row) => ({ ...row, quantity: decimal(row.quantity) }));
  }

  /** The account's kinds of api. */
  async protocols(accountId: string): Promise<string[]> {
    const found = await this.db.api.findMany({
      where: { accountId },
      distinct: ['protocol'],
      select: { protocol: true },
    });
    return found.map(({ protocol }) => protocol);
  }

  /** How far the account's business time is ahead of the system's. */
  async clockOffsetMs(accountId: string): Promise<number> {
    const { clockOffsetMs } = await this.db.account.findUniqueOrThrow({
      where: { id: accountId },
      select: { clockOffsetMs: true },
    });
    return Number(clockOffsetMs);
  }

  /** Over all accounts, for whoever runs the service. */
  async backlog(): Promise<UsageBacklog> {
    const [row] = await this.db.$queryRaw<UsageBacklog[]>`
      SELECT (SELECT coalesce(extract(epoch FROM now() - min(received_at)), 0)::float8
         FROM (SELECT received_at FROM usage_batch WHERE rolled_up_at IS NULL
           UNION ALL SELECT received_at FROM event_batch WHERE rolled_up_at IS NULL) waiting) AS "oldestWaitingSeconds",
        (SELECT coalesce(sum(differences), 0)::int FROM usage_check WHERE differences > 0) AS differences`;
    assert(row, 'a row without FROM is always there');
    return row;
  }
}
