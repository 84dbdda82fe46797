import { InvalidRequest, type Prisma } from '@io/platform';
import { methodKey, type MethodThrottle } from '../method-throttle.js';
import { childPointer } from '../json-pointer.js';

/** Throttles by method that stand at one place of a request. */
export interface ThrottlesAt {
  readonly apiId: string;
  readonly throttles: readonly MethodThrottle[];
  readonly pointer: string;
}

/**
 * Refuses throttles of methods that their api does not have; an api without any method takes all. The methods of the
 * apis have to be held (`holdMethods`).
 */
export async function refuseUnknownMethods(
  tx: Prisma.TransactionClient,
  accountId: string,
  places: readonly ThrottlesAt[],
): Promise<void> {
  const throttled = places.filter(({ throttles }) => throttles.length > 0);
  if (throttled.length === 0) return;
  const methods = await tx.method.findMany({
    where: { accountId, apiId: { in: throttled.map(({ apiId }) => apiId) } },
    select: { apiId: true, httpMethod: true, resourcePath: true },
  });
  const known = new Map<string, Set<string>>();
  for (const method of methods) {
    const keys = known.get(method.apiId) ?? new Set();
    known.set(method.apiId, keys.add(methodKey(method)));
  }
  const faults = throttled.flatMap(({ apiId, throttles, pointer }) => {
    const keys = known.get(apiId);
    if (!keys) return [];
    return throttles
      .map(methodKey)
      .filter((key) => !keys.has(key))
      .map((key) => ({
        pointer: childPointer(pointer, key),
        detail: `is not a method of the api "${apiId}"`,
      }));
  });
  if (faults.length > 0) throw new InvalidRequest(faults.slice(0, 20));
}

/** The difference between the throttles that are and those that are wanted. */
export interface ThrottleChange<T> {
  readonly removed: readonly T[];
  /** New, or with other numbers. */
  readonly set: readonly T[];
}

/** What to write so that `before` becomes `after`; what stays the same is not touched. */
export function throttleChange<T extends MethodThrottle>(
  before: readonly T[],
  after: readonly T[],
  key: (throttle: T) => string = methodKey,
): ThrottleChange<T> {
  const old = new Map(before.map((throttle) => [key(throttle), throttle]));
  const wanted = new Set(after.map(key));
  return {
    removed: before.filter((throttle) => !wanted.has(key(throttle))),
    set: after.filter((throttle) => {
      const known = old.get(key(throttle));
      return known?.rateLimit !== throttle.rateLimit || known.burstLimit !== throttle.burstLimit;
    }),
  };
}
