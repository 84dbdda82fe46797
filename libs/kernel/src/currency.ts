/**
 * Currencies of ISO 4217 and how many decimals their minor unit has; first those of which it is not a hundredth (list one, 2024-06-25 amendment).
 * Never from `Intl`, which says HUF 0 where ISO says 2.
 */
const EXPONENTS = new Map<string, number>([
  ...[
    'BIF',
    'CLP',
    'DJF',
    'GNF',
    'ISK',
    'JPY',
    'KMF',
    'KRW',
    'PYG',
    'RWF',
    'UGX',
    'UYI',
    'VND',
    'VUV',
    'XAF',
    'XOF',
    'XPF',
  ].map((code) => [code, 0] as const),
  ...['BHD', 'IQD', 'JOD', 'KWD', 'LYD', 'OMR', 'TND'].map((code) => [code, 3] as const),
  ...['CLF', 'UYW'].map((code) => [code, 4] as const),
]);

const HUNDREDTHS =
  'AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BOV BRL BSD BTN BWP BYN BZD CAD CDF CHE CHF CHW CNY COP COU CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MXV MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD USN UYU UZS VED VES WST XAD XCD XCG YER ZAR ZMW ZWG';
for (const code of HUNDREDTHS.split(' ')) EXPONENTS.set(code, 2);

/** Whether the code is an active ISO 4217 currency that money can be charged in. */
export function isCurrency(code: string): boolean {
  return EXPONENTS.has(code);
}

/** How many decimals the currency's minor unit has: USD 2, JPY 0, KWD 3, CLF 4. Throws on an unknown code. */
export function currencyExponent(code: string): number {
  const exponent = EXPONENTS.get(code);
  if (exponent === undefined) throw new RangeError(`"${code}" is not an ISO 4217 currency.`);
  return exponent;
}

/** Every currency that money can be charged in, and how many decimals its minor unit has. */
export const CURRENCY_EXPONENTS: ReadonlyMap<string, number> = EXPONENTS;
