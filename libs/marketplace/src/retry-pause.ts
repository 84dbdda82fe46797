const FIRST_MS = 2_000;
const LONGEST_MS = 5 * 60_000;

/** How long a record waits after so many attempts: twice as long each time, to five minutes, half of it at random. */
export function retryPauseMs(attempts: number, random: number): number {
  const pause = Math.min(LONGEST_MS, FIRST_MS * 2 ** Math.min(30, Math.max(0, attempts - 1)));
  return Math.round(pause / 2 + (pause / 2) * random);
}
