/** Which charges something is for: of these meters and these usage plans; an empty list is for all. */
export interface ChargeScope {
  readonly meters: readonly string[];
  readonly usagePlanIds: readonly string[];
}

/** Whether a charge is in the scope. Fees, and sums by hand, are of no meter: they are in every scope that names none. */
export function isInScope(
  { meters, usagePlanIds }: ChargeScope,
  { meter, usagePlanId }: { readonly meter: string | null; readonly usagePlanId: string },
): boolean {
  const isOfMeter = meters.length === 0 || (meter !== null && meters.includes(meter));
  return isOfMeter && (usagePlanIds.length === 0 || usagePlanIds.includes(usagePlanId));
}
