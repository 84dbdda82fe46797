export { AMAZON_API_GATEWAY_US_EAST_1 } from './amazon-api-gateway-us-east-1.js';
export type { TierCharge } from './charge.js';
export { InvalidPrice, InvalidPricePreview } from './errors.js';
export {
  previewPrice,
  tierChargeJson,
  type PricePreview,
  type PriceStepsPreview,
  type TierChargeJson,
} from './preview-price.js';
export {
  PRICE_MODELS,
  parsePrice,
  priceAmount,
  rateOf,
  readPrice,
  type Price,
  type PriceTerms,
  type PricedAmount,
  type PricedUse,
  type Rate,
} from './price.js';
export {
  COMMITMENT_PRICE,
  isCommitmentPrice,
  isInAdvance,
  parseRateCard,
  readIsCommitment,
  type Protocol,
  type RateCard,
  type RateCardPrice,
} from './rate-card.js';
