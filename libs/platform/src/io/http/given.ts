/** The members of T that may be left out may also be missing here, but none is `undefined`. */
export type Given<T> = { [K in keyof T]: Exclude<T[K], undefined> };

/** The fields of a request that were sent. Those of a DTO that were not are there all the same, as `undefined`. */
export function given<T extends object>(request: T): Given<T> {
  const sent = Object.entries(request).filter(([, value]) => value !== undefined);
  return Object.fromEntries(sent) as Given<T>;
}
