import { Temporal } from '@core/kernel';

/** How far ahead of the account's clock a record may be, and how old, when it comes in. */
export const RECORD_LIMITS = { futureMs: 5 * 60_000, pastMonths: 13 } as const;

/** Clocks of gateways are not trusted: which times of usage are taken, both ends included, and what the others are told. */
export interface AcceptedTimes {
  readonly earliestMs: number;
  readonly latestMs: number;
  readonly tooLate: string;
  readonly tooEarly: string;
}

/** The times around `now`, the account's business time. */
export function acceptedTimes({
  now,
  futureMs,
  pastMonths,
}: {
  readonly now: Date;
  readonly futureMs: number;
  readonly pastMonths: number;
}): AcceptedTimes {
  const earliest = Temporal.Instant.fromEpochMilliseconds(now.getTime())
    .toZonedDateTimeISO('UTC')
    .subtract({ months: pastMonths });
  return {
    earliestMs: earliest.epochMilliseconds,
    latestMs: now.getTime() + futureMs,
    tooLate: `is more than ${futureMs / 60_000} minutes in the future of the account's clock`,
    tooEarly: `is more than ${pastMonths} months old`,
  };
}
