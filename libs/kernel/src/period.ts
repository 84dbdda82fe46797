/** A half-open span of time `[from, to)`. Adjacent periods share an instant and no moment. */
export interface Period {
  readonly from: Date;
  readonly to: Date;
}

/** Whether the instant lies in the half-open period: `from` does, `to` does not. */
export function contains(period: Period, instant: Date): boolean {
  return instant >= period.from && instant < period.to;
}
