import { Injectable } from '@nestjs/common';
import type { Scope } from '@core/identity';
import type { FieldFault, Period } from '@core/kernel';
import {
  jsonText,
  readUsageBatch,
  RECORD_LIMITS,
  RecordSettled,
  RecordUnusable,
  TEXT_KEPT_MAX,
} from '@core/metering';
import { BusinessClock, NotFound, Pages, type Page, type PageQuery } from '@io/platform';
import {
  faultsOf,
  QuarantineRepository,
  type Countable,
  type QuarantineFilter,
  type QuarantineRow,
} from './quarantine.repository.js';
import { resolveUsage } from './resolve-usage.js';
import { RollUpWakeUp } from './roll-up-wake-up.js';
import { UsageOwnersRepository } from './usage-owners.repository.js';

/** A record that is not counted, or was not when it came, and why. */
export interface QuarantineEntry extends Omit<QuarantineRow, 'faults' | 'number'> {
  /** Pointers into the record. */
  readonly errors: readonly FieldFault[];
}

/** What became of the records of a filter. */
export interface SettledMany {
  /** How many were open. */
  readonly matched: number;
  /** How many of them were settled, or would be. */
  readonly settled: number;
  /** Whether there are more than are settled at once. */
  readonly more: boolean;
}

/** So many are settled by one request, in transactions of `CHUNK`. */
const SETTLED_MAX = 10_000;
const CHUNK = 500;

/** Records that are not counted: what is there, and what a person does about it. */
@Injectable()
export class QuarantineService {
  constructor(
    private readonly quarantine: QuarantineRepository,
    private readonly owners: UsageOwnersRepository,
    private readonly pages: Pages,
    private readonly clock: BusinessClock,
    private readonly rollUp: RollUpWakeUp,
  ) {}

  /** Newest first. */
  async list(
    scope: Scope,
    filter: QuarantineFilter,
    query: PageQuery,
  ): Promise<Page<QuarantineEntry>> {
    const list = `${scope.accountId} quarantine ${JSON.stringify(filter)}`;
    const request = this.pages.request(query, list);
    const rows = await this.quarantine.list(scope, filter, request);
    const { items, ...next } = this.pages.page(rows, request, list);
    return { items: items.map(toEntry), ...next };
  }

  async get(scope: Scope, id: string): Promise<QuarantineEntry> {
    return toEntry(await this.row(scope, id));
  }

  /**
   * Counts a record as it came, or another one in its place, by the rules of a record that comes in now. A second time
   * changes nothing. Throws `RecordUnusable`, or `RecordSettled` when it was dropped or another one was counted.
   */
  async replay(scope: Scope, id: string, record: unknown): Promise<QuarantineEntry> {
    const corrected = record === undefined ? null : jsonText(record);
    const before = await this.row(scope, id);
    if (before.state === 'open') {
      const { countable, faults } = await this.evaluate(scope, [{ row: before, corrected }]);
      if (countable.length === 0) throw new RecordUnusable(faults);
      await this.count(scope, countable);
    }
    const after = await this.row(scope, id);
    const isTheSame = corrected === null || after.corrected === corrected;
    if (after.state !== 'counted' || !isTheSame) throw new RecordSettled(after.state);
    return toEntry(after);
  }

  /** Gives up on a record. A second time changes nothing. Throws `RecordSettled` when it was counted. */
  async drop(scope: Scope, id: string, note: string): Promise<QuarantineEntry> {
    await this.row(scope, id);
    await this.quarantine.drop(scope, [id], note);
    const after = await this.row(scope, id);
    if (after.state !== 'dropped') throw new RecordSettled(after.state);
    return toEntry(after);
  }

  /** Counts what can be counted by now of the open records of a filter; dry, it only says how many. */
  replayMany(scope: Scope, filter: QuarantineFilter, isDryRun: boolean): Promise<SettledMany> {
    return this.settleMany(scope, filter, async (rows) => {
      const { countable } = await this.evaluate(
        scope,
        rows.map((row) => ({ row, corrected: null })),
      );
      return isDryRun ? countable.length : this.count(scope, countable);
    });
  }

  /** Gives up on the open records of a filter; dry, it only says how many. */
  dropMany(
    scope: Scope,
    filter: QuarantineFilter,
    { isDryRun, note }: { readonly isDryRun: boolean; readonly note: string },
  ): Promise<SettledMany> {
    return this.settleMany(scope, filter, async (rows) => {
      const ids = rows.map(({ id }) => id);
      return isDryRun ? ids.length : this.quarantine.drop(scope, ids, note);
    });
  }

  /** Open records that could be usage in a period, of a customer or of anyone, the oldest first, at most `limit`. */
  async touching(
    of: { readonly accountId: string; readonly customerId?: string },
    period: Period,
    limit: number,
  ): Promise<string[]> {
    const rows = await this.quarantine.touching(of, period, { ...RECORD_LIMITS, limit });
    return rows.map(({ id }) => id);
  }

  /** Whether any record of the account is open. */
  hasOpen(accountId: string): Promise<boolean> {
    return this.quarantine.hasOpen(accountId);
  }

  /** How many are open over all accounts, and for how long the oldest has been: for whoever runs the service. */
  backlog(): Promise<{ open: number; oldestSeconds: number }> {
    return this.quarantine.backlog();
  }

  private async settleMany(
    scope: Scope,
    filter: QuarantineFilter,
    settle: (rows: readonly QuarantineRow[]) => Promise<number>,
  ): Promise<SettledMany> {
    let [matched, settled, after] = [0, 0, 0n];
    while (matched < SETTLED_MAX) {
      const rows = await this.quarantine.open(scope, filter, { after, limit: CHUNK });
      if (rows.length > 0) settled += await settle(rows);
      matched += rows.length;
      after = rows.at(-1)?.number ?? after;
      if (rows.length < CHUNK) return { matched, settled, more: false };
    }
    const more = await this.quarantine.open(scope, filter, { after, limit: 1 });
    return { matched, settled, more: more.length > 0 };
  }

  private async count(scope: Scope, countable: readonly Countable[]): Promise<number> {
    if (countable.length === 0) return 0;
    const counted = await this.quarantine.count(scope, countable);
    this.rollUp.wake();
    return counted;
  }

  /** Reads records as a batch of them that comes in now: which can be counted, and what is wrong with the others. */
  private async evaluate(
    { accountId }: Scope,
    records: readonly { readonly row: QuarantineRow; readonly corrected: string | null }[],
  ): Promise<{ countable: Countable[]; faults: readonly FieldFault[] }> {
    const readable = records.filter(({ row, corrected }) =>
      corrected === null ? !row.isCut : corrected.length <= TEXT_KEPT_MAX,
    );
    if (readable.length === 0) return { countable: [], faults: [TOO_LONG] };
    const read = readUsageBatch({
      epoch: 'quarantine',
      sequence: 0,
      records: readable.map(({ row, corrected }) => JSON.parse(corrected ?? row.text) as unknown),
    });
    if ('faults' in read) return { countable: [], faults: read.faults };
    const now = await this.clock.now(accountId);
    const { batch, owners } = await resolveUsage(this.owners, accountId, { read, now });
    const countable = batch.records.flatMap((record, index) => {
      const one = readable[batch.leftOut?.ordinals[index] ?? index];
      const [ms, owner] = [batch.instants[index], owners[index]];
      if (!one || ms === undefined || !owner) throw new Error('each record that counts is known');
      return [{ id: one.row.id, record, ms, owner, corrected: one.corrected }];
    });
    const faults = (batch.leftOut?.quarantined ?? []).flatMap((left) => left.faults);
    return { countable, faults: batch.corrections ? [...faults, NO_USAGE] : faults };
  }

  private async row(scope: Scope, id: string): Promise<QuarantineRow> {
    const row = await this.quarantine.find(scope, id);
    if (!row) throw new NotFound('quarantined record', id);
    return row;
  }
}

const TOO_LONG = {
  pointer: '',
  detail: `is longer than the ${TEXT_KEPT_MAX} characters that are kept: replay a corrected one`,
};

const NO_USAGE = {
  pointer: '',
  detail:
    'is no usage but says something of another record: make it with POST /v1/usage/corrections, and drop this one',
};

const toEntry = ({ faults, number: _, ...row }: QuarantineRow): QuarantineEntry => ({
  ...row,
  errors: faultsOf(faults),
});
