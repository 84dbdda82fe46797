import { InvalidIpPolicy, parseIpPolicy, type IpLists } from '@core/limits';
import { Prisma } from '@io/platform';

/** Throws InvalidIpPolicy, with each fault at its place in a request whose field is `ipPolicy`. */
export function checkIpPolicy(lists: IpLists): void {
  try {
    parseIpPolicy(lists);
  } catch (error) {
    if (!(error instanceof InvalidIpPolicy)) throw error;
    throw new InvalidIpPolicy(
      error.facts.errors.map(({ pointer, detail }) => ({ pointer: `/ipPolicy${pointer}`, detail })),
    );
  }
}

/** The lists as their column takes them. */
export function ipPolicyColumn(lists: IpLists | null) {
  if (!lists) return Prisma.DbNull;
  const { allow, deny } = lists;
  return { ...(allow ? { allow: [...allow] } : {}), ...(deny ? { deny: [...deny] } : {}) };
}
