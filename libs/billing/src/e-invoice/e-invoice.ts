import { currencyExponent, Decimal, formatMoney, toMoney, type FieldFault } from '@core/kernel';
import type { RatingSnapshot } from '../price-lines.js';
import { NotAnEInvoice } from '../errors.js';
import type { InvoiceLine } from '../invoice-lines.js';
import type { TaxCategory, TaxGroup } from '../invoice-tax.js';
import { discountOf, type LineDiscount } from '../line-discount.js';
import {
  eInvoiceParty,
  oneLine,
  type EInvoiceParty,
  type InvoiceParty,
} from './e-invoice-party.js';
import { xmlText } from './xml.js';

/** A final invoice or a credit note, as far as an e-invoice tells of it. Days are local: `2026-11-30`. */
export interface FinalDocument {
  readonly kind: 'invoice' | 'credit-note';
  readonly number: string;
  readonly issuedOn: string;
  readonly dueOn: string | null;
  /** First and last day of what is charged; null for a credit note. */
  readonly days: { readonly first: string; readonly last: string } | null;
  /** The number of the invoice that a credit note corrects. */
  readonly corrects: string | null;
  readonly note: string | null;
  readonly paymentTerms: string | null;
  readonly currency: string;
  readonly accountId: string;
  readonly customerId: string;
  readonly issuer: InvoiceParty;
  readonly recipient: InvoiceParty;
  readonly lines: readonly FinalLine[];
  readonly taxes: readonly TaxGroup[];
  readonly subtotalMinor: bigint;
  readonly taxMinor: bigint;
  readonly totalMinor: bigint;
}

type FinalLine = Pick<InvoiceLine, 'description' | 'amountMinor' | 'tax'> &
  Partial<Pick<InvoiceLine, 'meter' | 'quantity' | 'rating' | 'discounts'>>;

/** UNTDID 5305: standard, zero-rated, exempt, reverse charge, not subject to VAT. */
export type VatCategory = 'S' | 'Z' | 'E' | 'AE' | 'O';

/** How a line or a sum of lines is taxed. The rate is null where VAT does not apply (BR-O-5). */
export interface Vat {
  readonly category: VatCategory;
  readonly ratePercent: string | null;
}

/** The semantic model of EN 16931, as far as it is used: amounts and quantities are decimals as text. */
export interface EInvoice {
  /** BT-3: 380 or 381. */
  readonly typeCode: '380' | '381';
  /** BT-1. */
  readonly number: string;
  /** BT-2. */
  readonly issuedOn: string;
  /** BT-9. */
  readonly dueOn: string | null;
  /** BT-5. */
  readonly currency: string;
  /** BG-14: BT-73 and BT-74. */
  readonly days: { readonly first: string; readonly last: string } | null;
  /** BT-22. */
  readonly note: string | null;
  /** BT-25. */
  readonly corrects: string | null;
  /** BT-20. */
  readonly paymentTerms: string | null;
  readonly seller: EInvoiceParty;
  readonly buyer: EInvoiceParty;
  /** BG-25. */
  readonly lines: readonly EInvoiceLine[];
  /** BG-23: one for each category and rate. */
  readonly vats: readonly VatBreakdown[];
  /** BT-106 and BT-109, which are the same without allowances and charges. */
  readonly net: string;
  /** BT-110. */
  readonly vat: string;
  /** BT-112, and BT-115: the document is as it was issued, before any payment. */
  readonly gross: string;
}

/** BG-25. */
export interface EInvoiceLine {
  /** BT-126. */
  readonly id: string;
  /** BT-153. */
  readonly name: string;
  /** BT-154. */
  readonly description: string | null;
  /** BT-129. */
  readonly quantity: string;
  /** BT-146, for so many units (BT-149). */
  readonly price: string;
  readonly baseQuantity: string;
  /** BG-27: what coupons take off. */
  readonly allowances: readonly LineAllowance[];
  /** BT-131. */
  readonly net: string;
  readonly vat: Vat;
}

/** BG-27. */
export interface LineAllowance {
  /** BT-136. */
  readonly amount: string;
  /** BT-139. */
  readonly reason: string;
}

/** BG-23. */
export interface VatBreakdown extends Vat {
  /** BT-116. */
  readonly net: string;
  /** BT-117. */
  readonly tax: string;
  /** BT-120. */
  readonly reason: string | null;
}

const CATEGORIES: Readonly<Record<TaxCategory, VatCategory>> = {
  standard: 'S',
  'zero-rated': 'Z',
  exempt: 'E',
  'reverse-charge': 'AE',
  'out-of-scope': 'O',
};
/** Decimals that an amount may have (BR-DEC). */
const PLACES_MAX = 2;

/**
 * A final document as EN 16931 has it. Throws `NotAnEInvoice` with every field that is missing or that the standard has no
 * place for.
 */
export function eInvoice(document: FinalDocument): EInvoice {
  const { currency, lines } = document;
  const seller = eInvoiceParty(document.accountId, document.issuer);
  const buyer = eInvoiceParty(document.customerId, document.recipient);
  const vats = vatBreakdowns(document);
  const faults = [...contentFaults(document, vats), ...partyFaults({ seller, buyer }, vats)];
  if (faults.length > 0) throw new NotAnEInvoice(faults);

  const isOutside = vats.some(({ category }) => category === 'O');
  const money = (minor: bigint) => formatMoney({ minor, currency });
  return {
    typeCode: document.kind === 'invoice' ? '380' : '381',
    number: document.number,
    issuedOn: document.issuedOn,
    dueOn: document.dueOn,
    currency,
    days: document.days,
    note: document.note === null ? null : xmlText(document.note).trim() || null,
    corrects: document.corrects,
    paymentTerms: document.paymentTerms,
    seller: isOutside ? withoutVatId(seller) : seller,
    buyer: isOutside ? withoutVatId(buyer) : buyer,
    lines: lines.map((line, index) => eInvoiceLine(line, { index, currency })),
    vats,
    net: money(document.subtotalMinor),
    vat: money(document.taxMinor),
    gross: money(document.totalMinor),
  };
}

function eInvoiceLine(
  line: FinalLine,
  { index, currency }: { readonly index: number; readonly currency: string },
): EInvoiceLine {
  const { description, amountMinor, meter, quantity = '0' } = line;
  const money = (minor: bigint) => formatMoney({ minor, currency });
  const discounts = toldDiscounts(line);
  const before = amountMinor + discountOf(discounts);
  const byUnit = unitPrice({ ...line, amountMinor: before }, currency);
  return {
    id: String(index + 1),
    name: oneLine(description) || `Line ${index + 1}`,
    description: byUnit || !meter ? null : oneLine(`${quantity} ${meter}`),
    ...(byUnit ?? {
      quantity: before < 0n ? '-1' : '1',
      price: money(before).replace('-', ''),
      baseQuantity: '1',
    }),
    allowances: discounts.map(({ name, code, minor }) => ({
      amount: money(BigInt(minor)),
      reason: oneLine(`${name} (${code})`),
    })),
    net: money(amountMinor),
    vat: vatOf(line.tax ?? { category: 'out-of-scope', ratePercent: '0' }),
  };
}

/**
 * What coupons take off a line, where it can be told as an allowance: an amount above zero without tax. What contains the tax, and what
 * was taken back, is told by the line's amount alone.
 */
function toldDiscounts({ discounts = [], tax }: FinalLine): readonly LineDiscount[] {
  const isNet = (tax?.grossMinor ?? null) === null;
  return isNet && discounts.every(({ minor }) => BigInt(minor) > 0n) ? discounts : [];
}

/**
 * The units of a line and the price of one, where that alone makes its amount; a price below a hundredth is told for a thousand
 * or a million. Null for several tiers, minimums, prices that contain tax: they are one thing at their amount, since whoever reads
 * the document multiplies.
 */
function unitPrice({ rating, amountMinor }: FinalLine, currency: string) {
  const unitAmount = rating ? unitAmountOf(rating) : undefined;
  if (!rating || unitAmount === undefined) return null;
  const units = new Decimal(rating.units);
  let price = new Decimal(unitAmount);
  if (price.isZero() || toMoney(units.mul(price), currency).minor !== amountMinor) return null;
  let base = new Decimal(1);
  if (price.lt('0.01')) {
    for (; price.lt(1); price = price.mul(1000)) base = base.mul(1000);
  }
  return { quantity: units.toFixed(), price: price.toFixed(), baseQuantity: base.toFixed() };
}

/** The one price that all units had: of the price itself, or of the only tier that they entered. */
function unitAmountOf({ price, tiers }: RatingSnapshot): string | undefined {
  if (price.model === 'per-unit') return price.unitAmount;
  return tiers.length === 1 ? tiers[0]?.unitAmount : undefined;
}

function vatOf({ category, ratePercent }: Pick<TaxGroup, 'category' | 'ratePercent'>): Vat {
  const rate = new Decimal(ratePercent);
  const code = category === 'standard' && rate.isZero() ? 'Z' : CATEGORIES[category];
  return { category: code, ratePercent: code === 'O' ? null : rate.toFixed() };
}

/**
 * The groups by category and rate alone: EN 16931 has no names of taxes. Those over nothing but lines that were left out since
 * nothing was used are left out too (BR-S-1).
 */
function vatBreakdowns({ lines, taxes, currency }: FinalDocument): VatBreakdown[] {
  const keyOf = ({ category, ratePercent }: Vat) => `${category} ${ratePercent}`;
  const used = new Set(lines.flatMap(({ tax }) => (tax ? [keyOf(vatOf(tax))] : [])));
  const byVat = new Map<string, { vat: Vat; groups: TaxGroup[] }>();
  for (const group of taxes) {
    const vat = vatOf(group);
    const key = keyOf(vat);
    if (!used.has(key)) continue;
    const same = byVat.get(key);
    byVat.set(key, { vat, groups: [...(same?.groups ?? []), group] });
  }
  return [...byVat.values()].map(({ vat, groups }) => {
    const sum = (of: 'net' | 'tax') =>
      formatMoney({ minor: groups.reduce((all, one) => all + one[of].minor, 0n), currency });
    const reasons = new Set(groups.map(({ reason }) => oneLine(reason ?? '')));
    const isCharged = vat.category === 'S' || vat.category === 'Z';
    const reason = [...reasons].filter((text) => text !== '').join('; ') || null;
    return { ...vat, net: sum('net'), tax: sum('tax'), reason: isCharged ? null : reason };
  });
}

/** BR-O-2: who is outside of VAT shows no VAT id. */
function withoutVatId(party: EInvoiceParty): EInvoiceParty {
  return { ...party, vatId: null, otherTaxId: party.vatId ?? party.otherTaxId };
}

function contentFaults(
  { currency, lines }: FinalDocument,
  vats: readonly VatBreakdown[],
): FieldFault[] {
  const faults: FieldFault[] = [];
  const fault = (pointer: string, detail: string) => faults.push({ pointer, detail });
  if (currencyExponent(currency) > PLACES_MAX) {
    fault('/currency', `must have at most ${PLACES_MAX} decimals; ${currency} has more (BR-DEC)`);
  }
  if (lines.length === 0) fault('/lines', 'must be at least one (BR-16)');
  lines.forEach(({ tax }, index) => {
    if (!tax) fault(`/lines/${index}/tax`, 'is required: no tax rule was for it (BR-CO-4)');
  });
  if (vats.length > 1 && vats.some(({ category }) => category === 'O')) {
    fault('/taxes', 'must not mix what is out of scope with anything else (BR-O-11)');
  }
  for (const { category, reason } of vats) {
    const needsReason = category !== 'S' && category !== 'Z' && reason === null;
    if (needsReason) fault('/taxes', `must say why no tax is charged (BR-${category}-10)`);
  }
  return faults;
}

function partyFaults(
  { seller, buyer }: { readonly seller: EInvoiceParty; readonly buyer: EInvoiceParty },
  vats: readonly VatBreakdown[],
): FieldFault[] {
  const faults: FieldFault[] = [];
  const fault = (pointer: string, detail: string) => faults.push({ pointer, detail });
  const country =
    'must end with the country on a line of its own, by its code or English name, where no VAT id tells it';
  if (seller.name === '') fault('/issuer/name', 'is required (BR-6)');
  if (seller.country === null) fault('/issuer/address', `${country} (BR-9)`);
  if (buyer.name === '') fault('/recipient/name', 'is required (BR-7)');
  if (buyer.country === null) fault('/recipient/address', `${country} (BR-11)`);
  const taxed = vats.find(({ category }) => category !== 'O');
  if (taxed && seller.vatId === null && seller.otherTaxId === null) {
    fault('/issuer/taxId', `is required (BR-${taxed.category}-2)`);
  }
  const isReversed = vats.some(({ category }) => category === 'AE');
  if (isReversed && buyer.vatId === null && buyer.otherTaxId === null) {
    fault('/recipient/taxId', 'is required where the customer owes the tax (BR-AE-2)');
  }
  return faults;
}
