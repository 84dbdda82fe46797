/** How long AWS takes a record, and how long we let usage of an hour come in. */
export interface MeteringRules {
  /** Records of an hour that is so long ago are refused. AWS: 24, and 6 before 2026. */
  readonly windowHours: number;
  /** From the end of an hour to when its quantity is frozen. */
  readonly sealLagMinutes: number;
}

/** How pressing it is that a record that AWS has not taken is sent. */
export type Urgency = 'none' | 'six-hours' | 'twenty-hours' | 'month-end' | 'expired';

const HOUR_MS = 3_600_000;
const MINUTE_MS = 60_000;
/** On the 1st, in UTC, AWS closes the month before. */
const WALL_HOURS = 6;
const WALL_ALARM_HOURS = 3;

/** The start of the UTC hour that an instant lies in. */
export const hourOf = (at: Date): Date => new Date(Math.floor(at.getTime() / HOUR_MS) * HOUR_MS);

/** The instant so many hours later. */
export const hoursAfter = (at: Date, hours: number): Date =>
  new Date(at.getTime() + hours * HOUR_MS);

/** From this instant on AWS refuses records of the hour's month: 06:00 UTC on the 1st of the next. */
export const monthEndWall = (hour: Date): Date =>
  new Date(Date.UTC(hour.getUTCFullYear(), hour.getUTCMonth() + 1, 1, WALL_HOURS));

/** From this instant on AWS refuses records of the hour: the end of the window, or the wall where that is earlier. */
export function deadlineOf(hour: Date, { windowHours }: Pick<MeteringRules, 'windowHours'>): Date {
  const window = hoursAfter(hour, windowHours);
  const wall = monthEndWall(hour);
  return wall < window ? wall : window;
}

/**
 * How pressing a record of the hour is. Its age counts from the end of the hour, before which nothing could be sent;
 * `month-end` from three hours before the wall on.
 */
export function urgencyOf(hour: Date, now: Date, rules: MeteringRules): Urgency {
  const end = hoursAfter(hour, 1);
  const wall = monthEndWall(hour);
  if (now >= deadlineOf(hour, rules)) return 'expired';
  if (now >= hoursAfter(wall, -WALL_ALARM_HOURS)) return 'month-end';
  if (now >= hoursAfter(end, 20)) return 'twenty-hours';
  return now >= hoursAfter(end, 6) ? 'six-hours' : 'none';
}

/**
 * The hours from `from` on that are complete at `now`, in their order: they have ended and the lag is over. While the
 * service is settling, since it was away and gateways are still telling what they kept for it, only those that would else
 * come too late.
 */
export function hoursToSeal(
  from: Date,
  {
    now,
    isSettling,
    ...rules
  }: MeteringRules & { readonly now: Date; readonly isSettling: boolean },
): Date[] {
  const hours: Date[] = [];
  for (let hour = from; ; hour = hoursAfter(hour, 1)) {
    const completeAt = hoursAfter(hour, 1).getTime() + rules.sealLagMinutes * MINUTE_MS;
    const hurriesAt = deadlineOf(hour, rules).getTime() - HURRY_MINUTES * MINUTE_MS;
    if (now.getTime() < (isSettling ? Math.max(completeAt, hurriesAt) : completeAt)) return hours;
    hours.push(hour);
  }
}

/** So long before the deadline nothing is waited for any more. */
const HURRY_MINUTES = 30;

/** When what an agreement that is ending has used is sealed, the hour that runs included: well inside its last hour. */
export const finalFlushAt = (endingAt: Date): Date =>
  new Date(endingAt.getTime() + FINAL_FLUSH_MINUTES * MINUTE_MS);

/** AWS takes final records for an hour after an unsubscribe; the rest of it is for sending them. */
const FINAL_FLUSH_MINUTES = 45;
