import { quarantining, RECORD_LIMITS, timeReasons, type UsageBatch } from '@core/metering';
import { InvalidRequest } from '@io/platform';
import {
  UNKNOWN_PLACES,
  type UsageOwner,
  type UsageOwnersRepository,
} from './usage-owners.repository.js';

/** A batch of which each record has an owner, in their order. */
export interface OwnedBatch {
  readonly batch: UsageBatch;
  readonly owners: readonly UsageOwner[];
}

/** Whose each record is, and the batch without those that name nothing of the account or have an impossible time. */
export async function resolveUsage(
  known: UsageOwnersRepository,
  accountId: string,
  { read, now }: { readonly read: UsageBatch; readonly now: Date },
): Promise<OwnedBatch> {
  const reasons = timeReasons(read.instants, { now, ...RECORD_LIMITS });
  const owners: UsageOwner[] = [];
  for (const [index, owner] of (await known.owners(accountId, read.records)).entries()) {
    const impossible = reasons.get(index);
    if ('unknown' in owner) {
      const { reason, detail } = UNKNOWN_PLACES[owner.unknown];
      const faults = [...(impossible?.faults ?? []), { pointer: `/${owner.unknown}`, detail }];
      reasons.set(index, { reason: impossible?.reason ?? reason, faults, customerId: null });
    } else if (impossible) reasons.set(index, { ...impossible, customerId: owner.customerId });
    else owners.push(known.ownerAt(owner, read.instants[index] ?? 0, now));
  }
  const batch = quarantining(read, reasons);
  if ('faults' in batch) throw new InvalidRequest(batch.faults);
  return { batch, owners };
}
