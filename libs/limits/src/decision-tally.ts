/** What allowed calls are told apart by. */
export interface CallName {
  readonly accountId: string;
  readonly customerId: string;
  readonly keyId: string;
  readonly apiId: string;
  readonly stage: string;
  /** The verb of the call, as usage names it; of a method ANY there are many. */
  readonly method: string;
  readonly resourcePath: string;
}

/** How many calls of a name were allowed in an hour of UTC. */
export interface AllowedCalls extends CallName {
  readonly hourMs: number;
  readonly allowed: number;
}

const HOUR_MS = 3_600_000;

/** The count of one name: found once, so that a call that passes costs an increment. */
export class AllowedCount {
  allowed = 0;
  hourMs = 0;
  /** That of the name, which a call is compared with: the name itself is read when the count is stored. */
  readonly method: string;

  constructor(readonly name: CallName) {
    this.method = name.method;
  }
}

/** Counts allowed calls until they are taken. A count is listed by its first call after that; others only increment. */
export class DecisionTally {
  private dirty: AllowedCount[] = [];
  /** Counts of hours that were over when the next call came. */
  private past: AllowedCalls[] = [];

  /** One more call at an instant. */
  add(count: AllowedCount, atMs: number): void {
    if (count.allowed === 0) {
      this.dirty.push(count);
      count.hourMs = atMs - (atMs % HOUR_MS);
    } else if (atMs < count.hourMs || atMs >= count.hourMs + HOUR_MS) {
      this.past.push(rowOf(count));
      count.allowed = 0;
      count.hourMs = atMs - (atMs % HOUR_MS);
    }
    count.allowed += 1;
  }

  /** All that was counted since the last time, each name and hour once. */
  take(): AllowedCalls[] {
    const rows = new Map<string, AllowedCalls>();
    for (const row of [...this.past, ...this.dirty.map(rowOf)]) {
      const { accountId, customerId, keyId, apiId, stage, method, resourcePath, hourMs } = row;
      const id = JSON.stringify([
        accountId,
        customerId,
        keyId,
        apiId,
        stage,
        method,
        resourcePath,
        hourMs,
      ]);
      rows.set(id, { ...row, allowed: row.allowed + (rows.get(id)?.allowed ?? 0) });
    }
    for (const count of this.dirty) count.allowed = 0;
    this.dirty = [];
    this.past = [];
    return [...rows.values()];
  }
}

const rowOf = ({ name, hourMs, allowed }: AllowedCount): AllowedCalls => ({
  ...name,
  hourMs,
  allowed,
});
