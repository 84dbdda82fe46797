import type { EntitledPlan } from '@core/marketplace';
import type { Prisma } from '@io/platform';

/** How usage becomes units of a dimension of a product. */
export interface Dimension {
  /** As it is called on AWS. */
  readonly dimension: string;
  /** What is counted; null where an amount is. */
  readonly meter: string | null;
  /** Whose prices a month's usage is metered by, as an amount; null where a meter is. */
  readonly rateCardId: string | null;
  readonly rateCardVersion: number | null;
  /** So much of the meter, or of the card's currency, is one unit. */
  readonly unitSize: string;
  /** What the marketplace charges for a unit: for what is at risk. */
  readonly usdPerUnit: string | null;
}

/** What a usage plan's product code meters when nobody said otherwise, as Amazon API Gateway does. */
export const API_GATEWAY_DIMENSION: Dimension = {
  dimension: 'apigateway',
  meter: 'calls',
  rateCardId: null,
  rateCardVersion: null,
  unitSize: '1',
  usdPerUnit: null,
};

/** Dimensions as they were stored by `ProductsRepository`, which alone writes them. */
export function dimensionsOf(json: Prisma.JsonValue): readonly Dimension[] {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- written as such, by one place
  return json as unknown as readonly Dimension[];
}

/** Plans of entitlements, likewise. */
export function entitledPlansOf(json: Prisma.JsonValue): readonly EntitledPlan[] {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- written as such, by one place
  return json as unknown as readonly EntitledPlan[];
}
