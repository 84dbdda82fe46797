import { atPointer, type FieldFault } from '@core/kernel';
import {
  acceptedTimes,
  connectionTimeFaults,
  RECORD_LIMITS,
  type ConnectionEvents,
} from '@core/metering';
import {
  UNKNOWN_PLACES,
  type UsageOwner,
  type UsageOwnersRepository,
} from './usage-owners.repository.js';

/** Whose each connection is that a batch opens, in their order, or why the batch cannot be counted. */
export async function connectionOwners(
  known: UsageOwnersRepository,
  { accountId }: { readonly accountId: string },
  { told, now }: { readonly told: ConnectionEvents | undefined; readonly now: Date },
): Promise<{ owners: UsageOwner[]; faults: FieldFault[] }> {
  if (told === undefined) return { owners: [], faults: [] };
  const faults = connectionTimeFaults(told, acceptedTimes({ now, ...RECORD_LIMITS }));
  const owners: UsageOwner[] = [];
  for (const [index, owner] of (await known.owners(accountId, told.opened)).entries()) {
    if (!('unknown' in owner)) owners.push(owner);
    else {
      const pointer = atPointer(`/connections/opened/${index}`, owner.unknown);
      faults.push({ pointer, detail: UNKNOWN_PLACES[owner.unknown].detail });
    }
  }
  return { owners, faults };
}
