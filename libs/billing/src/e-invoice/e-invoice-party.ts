import { xmlText } from './xml.js';

/** Who issues an invoice or receives it, as they were when it was made final. */
export interface InvoiceParty {
  readonly name: string;
  readonly legalName: string | null;
  readonly email?: string | null;
  /** Lines of text; the last one may be the country. */
  readonly address: string | null;
  readonly taxId: string | null;
}

/** A seller (BG-4) or buyer (BG-7). */
export interface EInvoiceParty {
  /** BT-29, BT-46: what Tollgate calls it. */
  readonly id: string;
  /** BT-27, BT-44. */
  readonly name: string;
  /** BT-28, BT-45: where it is another than the legal one. */
  readonly tradingName: string | null;
  /** BT-35, BT-36, BT-162, and the same of the buyer. At most three; none is the country. */
  readonly addressLines: readonly string[];
  /** BT-40, BT-55, as ISO 3166-1 has it; null when nothing tells. */
  readonly country: string | null;
  /** BT-31, BT-48: with the country in front. */
  readonly vatId: string | null;
  /** BT-32 of a seller, BT-47 of a buyer: a number of another form. */
  readonly otherTaxId: string | null;
  /** BT-49. */
  readonly email: string | null;
}

/**
 * A party as an e-invoice has it. Its address is free text: the country is its last line, by code or English name, else that
 * of its VAT id.
 */
export function eInvoiceParty(id: string, party: InvoiceParty): EInvoiceParty {
  const name = oneLine(party.name);
  const legalName = oneLine(party.legalName ?? '') || name;
  const vatId = readVatId(party.taxId ?? '');
  const lines = xmlText(party.address ?? '')
    .split('\n')
    .map(oneLine)
    .filter((line) => line !== '');
  const named = countryNamed(lines.at(-1) ?? '');
  return {
    id,
    name: legalName,
    tradingName: name === legalName || name === '' ? null : name,
    addressLines: atMostThree(named === null ? lines : lines.slice(0, -1)),
    country: named ?? (vatId && countryOfVatId(vatId)),
    vatId,
    otherTaxId: vatId === null ? oneLine(party.taxId ?? '') || null : null,
    email: oneLine(party.email ?? '') || null,
  };
}

/** Text as one line of XML. */
export function oneLine(text: string): string {
  return xmlText(text).replace(/\s+/gu, ' ').trim();
}

function atMostThree(lines: readonly string[]): string[] {
  const rest = lines.slice(2);
  return [...lines.slice(0, 2), ...(rest.length === 0 ? [] : [rest.join(', ')])];
}

/** Two letters of a country and a digit, but for the few that have more letters. */
const VAT_ID = /^(?:ATU|CHE|ES[A-Z]|FR[A-Z0-9]{2}|[A-Z]{2})[0-9][0-9A-Z+*]+$/;

function readVatId(taxId: string): string | null {
  const compact = taxId.toUpperCase().replace(/[\s.-]/gu, '');
  return VAT_ID.test(compact) && countryOfVatId(compact) !== null ? compact : null;
}

function countryOfVatId(vatId: string): string | null {
  const prefix = vatId.slice(0, 2);
  const country = { EL: 'GR', XI: 'GB' }[prefix] ?? prefix;
  return COUNTRIES.has(country) ? country : null;
}

function countryNamed(line: string): string | null {
  const text = line.toUpperCase();
  return COUNTRIES.has(text) ? text : (countriesByName().get(text) ?? null);
}

/** ISO 3166-1 alpha-2. */
const COUNTRIES: ReadonlySet<string> = new Set(
  (
    'AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT BV BW BY BZ CA CC ' +
    'CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH ER ES ET FI FJ FK FM FO FR GA GB GD ' +
    'GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM HN HR HT HU ID IE IL IM IN IO IQ IR IS IT JE JM JO JP KE KG KH ' +
    'KI KM KN KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO MP MQ MR MS MT MU MV MW ' +
    'MX MY MZ NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS PT PW PY QA RE RO RS RU RW SA SB SC ' +
    'SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF TG TH TJ TK TL TM TN TO TR TT TV TW TZ UA UG UM US UY ' +
    'UZ VA VC VE VG VI VN VU WF WS YE YT ZA ZM ZW'
  ).split(' '),
);

let byName: ReadonlyMap<string, string> | undefined;

/** Their English names, in capitals. */
function countriesByName(): ReadonlyMap<string, string> {
  const names = new Intl.DisplayNames(['en'], { type: 'region' });
  byName ??= new Map([
    ...[...COUNTRIES].map((code) => [(names.of(code) ?? code).toUpperCase(), code] as const),
    ['USA', 'US'],
    ['UK', 'GB'],
  ]);
  return byName;
}
