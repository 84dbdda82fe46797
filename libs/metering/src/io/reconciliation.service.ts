import { Injectable } from '@nestjs/common';
import type { Period } from '@core/kernel';
import type { Scope } from '@core/identity';
import { BusinessClock, InvalidRequest } from '@io/platform';
import {
  ReconciliationRepository,
  type Mismatch,
  type Reconciliation,
  type ReconciliationFilter,
} from './reconciliation.repository.js';

export const MISMATCH_KINDS = ['allowed-but-unmetered', 'metered-but-never-allowed'] as const;

/** A mismatch, what it is, and whether counts that come late may still change it. */
export interface ReconciledHour extends Mismatch {
  readonly kind: (typeof MISMATCH_KINDS)[number];
  readonly settled: boolean;
}

/** What was found in a time, and whose decisions it does not know. */
export interface ReconciledTime extends Omit<Reconciliation, 'items'> {
  /** Hours before are left out, since their counts of allowed calls are not kept any more; null: all are. */
  readonly keptFrom: Date | null;
  readonly selfDeciding: readonly string[];
  readonly items: readonly ReconciledHour[];
}

const HOUR_MS = 3_600_000;
const DAYS_MAX = 31;
/** So long after its end an hour is settled: gateways report every few seconds, and a log is read a little later. */
const SETTLE_MS = 15 * 60_000;
export const MISMATCHES_MAX = 10_000;

/** Which calls were allowed and never metered, and which were metered and never allowed. */
@Injectable()
export class ReconciliationService {
  constructor(
    private readonly repository: ReconciliationRepository,
    private readonly clock: BusinessClock,
  ) {}

  /** Of whole hours of UTC. */
  async reconcile(
    { accountId }: Scope,
    period: Period,
    filter: Omit<ReconciliationFilter, 'accountId'>,
  ): Promise<ReconciledTime> {
    checkHours(period);
    const now = await this.clock.now(accountId);
    const of = { ...filter, accountId };
    const keptFrom = await this.repository.keptFrom(accountId);
    const kept = { ...period, from: latest(period.from, keptFrom) };
    const found = await this.repository.compare(of, kept, MISMATCHES_MAX);
    const items = found.items.map((item): ReconciledHour => ({
      ...item,
      kind: MISMATCH_KINDS[item.difference.startsWith('-') ? 1 : 0],
      settled: item.hour.getTime() + HOUR_MS + SETTLE_MS <= now.getTime(),
    }));
    const selfDeciding = await this.repository.selfDeciding(accountId);
    return { ...found, keptFrom, selfDeciding, items };
  }
}

const latest = (a: Date, b: Date | null): Date => (b !== null && b > a ? b : a);

function checkHours({ from, to }: Period): void {
  const faults = Object.entries({ from, to }).flatMap(([name, at]) =>
    at.getTime() % HOUR_MS === 0
      ? []
      : [{ pointer: `/${name}`, detail: 'must be a whole hour in UTC' }],
  );
  const lengthMs = to.getTime() - from.getTime();
  if (lengthMs <= 0) faults.push({ pointer: '/to', detail: 'must be after `from`' });
  if (lengthMs > DAYS_MAX * 24 * HOUR_MS)
    faults.push({ pointer: '/to', detail: `must be at most ${DAYS_MAX} days after \`from\`` });
  if (faults.length > 0) throw new InvalidRequest(faults);
}
