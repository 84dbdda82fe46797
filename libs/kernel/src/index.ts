export { Decimal, decimal, type DecimalInput } from './decimal.js';
export { DomainError, type RefusalKind } from './domain-error.js';
export { DURATION_BOUNDS_SECONDS, Durations } from './durations.js';
export { CURRENCY_EXPONENTS, currencyExponent, isCurrency } from './currency.js';
export { addMoney, exactMoney, formatMoney, toMoney, zeroMoney, type Money } from './money.js';
export { allocate, allocateQuantity } from './allocation.js';
export { contains, type Period } from './period.js';
export {
  isInRanges,
  joinRanges,
  parseIpAddress,
  parseIpRange,
  type IpAddress,
  type IpRange,
} from './ip-range.js';
export { prefixedId, shortId, randomBase62, type Random } from './ids.js';
export {
  JsonFields,
  atPointer,
  decimalText,
  type DecimalForm,
  type FieldFault,
  type ReadAt,
} from './json-fields.js';
export {
  hasValidChecksum,
  lastFour,
  looksLikeTollgateKey,
  newApiKeyValue,
  type ApiKeyMode,
} from './api-key.js';
export { Temporal } from './temporal.js';
