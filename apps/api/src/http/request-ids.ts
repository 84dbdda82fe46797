import { randomBytes } from 'node:crypto';

/** Makes ids that are unique over all processes: a random prefix, then a count. */
export function requestIds(): () => string {
  const prefix = randomBytes(8).toString('hex');
  let count = 0;
  return () => `${prefix}-${(count++).toString(36)}`;
}
