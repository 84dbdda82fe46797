import { Decimal } from '@core/kernel';
import { all, textOf, type Xml } from './xml.js';

interface ToldParty {
  readonly ids: readonly string[];
  readonly name: string | null;
  readonly hasAddress: boolean;
  readonly country: string | null;
  readonly vatId: string | null;
  /** BT-32. */
  readonly taxRegistration: string | null;
  /** BT-30, BT-47. */
  readonly registration: string | null;
}

interface ToldVat {
  readonly category: string | null;
  readonly rate: string | null;
}

interface ToldAllowance {
  readonly isCharge: string | null;
  readonly amount: string | null;
  readonly reason: string | null;
}

/** What a document tells, whichever syntax it is in: the terms of EN 16931, as text. */
export interface Told {
  readonly specification: string | null;
  readonly number: string | null;
  readonly issuedOn: string | null;
  readonly dueOn: string | null;
  readonly typeCode: string | null;
  readonly currency: string | null;
  readonly terms: string | null;
  readonly precedings: readonly string[];
  readonly days: readonly [string | null, string | null] | null;
  readonly note: string | null;
  readonly seller: ToldParty;
  readonly buyer: ToldParty;
  readonly lines: readonly (ToldVat & {
    readonly id: string | null;
    readonly name: string | null;
    readonly quantity: string | null;
    readonly unit: string | null;
    readonly price: string | null;
    readonly base: string | null;
    /** BG-27. */
    readonly allowances: readonly ToldAllowance[];
    readonly net: string | null;
  })[];
  readonly vats: readonly (ToldVat & {
    readonly net: string | null;
    readonly tax: string | null;
    readonly reason: string | null;
  })[];
  /** BT-106. */
  readonly lineSum: string | null;
  /** BT-109. */
  readonly exclusive: string | null;
  /** BT-110. */
  readonly tax: string | null;
  /** BT-112. */
  readonly inclusive: string | null;
  /** BT-115. */
  readonly due: string | null;
  /** Of every amount, which must be that of the document. */
  readonly currencies: readonly string[];
}

/** Reads UBL: an Invoice or a CreditNote. */
export function readUbl(xml: Xml): Told {
  const kind = xml.name;
  const line = kind === 'Invoice' ? 'Invoiced' : 'Credited';
  const party = (role: string): ToldParty => {
    const [of] = all(xml, `cac:Accounting${role}Party/cac:Party`);
    if (!of) throw new Error(`No ${role}.`);
    const schemes = all(of, 'cac:PartyTaxScheme');
    const taxId = (isVat: boolean) => {
      const found = schemes.find(
        (one) => (textOf(one, 'cac:TaxScheme/cbc:ID') === 'VAT') === isVat,
      );
      return found ? textOf(found, 'cbc:CompanyID') : null;
    };
    return {
      ids: all(of, 'cac:PartyIdentification/cbc:ID').map(({ text }) => text),
      name: textOf(of, 'cac:PartyLegalEntity/cbc:RegistrationName'),
      hasAddress: all(of, 'cac:PostalAddress').length === 1,
      country: textOf(of, 'cac:PostalAddress/cac:Country/cbc:IdentificationCode'),
      vatId: taxId(true),
      taxRegistration: taxId(false),
      registration: textOf(of, 'cac:PartyLegalEntity/cbc:CompanyID'),
    };
  };
  const vat = (of: Xml, path: string): ToldVat => ({
    category: textOf(of, `${path}/cbc:ID`),
    rate: textOf(of, `${path}/cbc:Percent`),
  });
  const period = all(xml, 'cac:InvoicePeriod')[0];
  return {
    specification: textOf(xml, 'cbc:CustomizationID'),
    number: textOf(xml, 'cbc:ID'),
    issuedOn: textOf(xml, 'cbc:IssueDate'),
    dueOn: textOf(xml, 'cbc:DueDate'),
    typeCode: textOf(xml, `cbc:${kind}TypeCode`),
    currency: textOf(xml, 'cbc:DocumentCurrencyCode'),
    terms: textOf(xml, 'cac:PaymentTerms/cbc:Note'),
    precedings: all(xml, 'cac:BillingReference/cac:InvoiceDocumentReference/cbc:ID').map(
      ({ text }) => text,
    ),
    days: period ? [textOf(period, 'cbc:StartDate'), textOf(period, 'cbc:EndDate')] : null,
    note: textOf(xml, 'cbc:Note'),
    seller: party('Supplier'),
    buyer: party('Customer'),
    lines: all(xml, `cac:${kind}Line`).map((of) => ({
      id: textOf(of, 'cbc:ID'),
      name: textOf(of, 'cac:Item/cbc:Name'),
      quantity: textOf(of, `cbc:${line}Quantity`),
      unit: all(of, `cbc:${line}Quantity`)[0]?.attributes['unitCode'] ?? null,
      price: textOf(of, 'cac:Price/cbc:PriceAmount'),
      base: textOf(of, 'cac:Price/cbc:BaseQuantity'),
      allowances: all(of, 'cac:AllowanceCharge').map((one) => ({
        isCharge: textOf(one, 'cbc:ChargeIndicator'),
        amount: textOf(one, 'cbc:Amount'),
        reason: textOf(one, 'cbc:AllowanceChargeReason'),
      })),
      net: textOf(of, 'cbc:LineExtensionAmount'),
      ...vat(of, 'cac:Item/cac:ClassifiedTaxCategory'),
    })),
    vats: all(xml, 'cac:TaxTotal/cac:TaxSubtotal').map((of) => ({
      net: textOf(of, 'cbc:TaxableAmount'),
      tax: textOf(of, 'cbc:TaxAmount'),
      reason: textOf(of, 'cac:TaxCategory/cbc:TaxExemptionReason'),
      ...vat(of, 'cac:TaxCategory'),
    })),
    lineSum: textOf(xml, 'cac:LegalMonetaryTotal/cbc:LineExtensionAmount'),
    exclusive: textOf(xml, 'cac:LegalMonetaryTotal/cbc:TaxExclusiveAmount'),
    tax: textOf(xml, 'cac:TaxTotal/cbc:TaxAmount'),
    inclusive: textOf(xml, 'cac:LegalMonetaryTotal/cbc:TaxInclusiveAmount'),
    due: textOf(xml, 'cac:LegalMonetaryTotal/cbc:PayableAmount'),
    currencies: attributesOf(xml, 'currencyID'),
  };
}

/** Reads a Cross Industry Invoice. */
export function readCii(xml: Xml): Told {
  const trade = 'rsm:SupplyChainTradeTransaction';
  const settlement = `${trade}/ram:ApplicableHeaderTradeSettlement`;
  const sums = `${settlement}/ram:SpecifiedTradeSettlementHeaderMonetarySummation`;
  const date = (of: Xml, path: string) => {
    const text = textOf(of, `${path}/udt:DateTimeString`);
    return text && text.replace(/^(\d{4})(\d{2})(\d{2})$/, '$1-$2-$3');
  };
  const party = (role: string): ToldParty => {
    const [of] = all(xml, `${trade}/ram:ApplicableHeaderTradeAgreement/ram:${role}TradeParty`);
    if (!of) throw new Error(`No ${role}.`);
    const ids = all(of, 'ram:SpecifiedTaxRegistration/ram:ID');
    const taxId = (scheme: string) =>
      ids.find(({ attributes }) => attributes['schemeID'] === scheme)?.text ?? null;
    return {
      ids: all(of, 'ram:ID').map(({ text }) => text),
      name: textOf(of, 'ram:Name'),
      hasAddress: all(of, 'ram:PostalTradeAddress').length === 1,
      country: textOf(of, 'ram:PostalTradeAddress/ram:CountryID'),
      vatId: taxId('VA'),
      taxRegistration: taxId('FC'),
      registration: textOf(of, 'ram:SpecifiedLegalOrganization/ram:ID'),
    };
  };
  const vat = (of: Xml): ToldVat => ({
    category: textOf(of, 'ram:CategoryCode'),
    rate: textOf(of, 'ram:RateApplicablePercent'),
  });
  const period = all(xml, `${settlement}/ram:BillingSpecifiedPeriod`)[0];
  return {
    specification: textOf(
      xml,
      'rsm:ExchangedDocumentContext/ram:GuidelineSpecifiedDocumentContextParameter/ram:ID',
    ),
    number: textOf(xml, 'rsm:ExchangedDocument/ram:ID'),
    issuedOn: date(xml, 'rsm:ExchangedDocument/ram:IssueDateTime'),
    dueOn: date(xml, `${settlement}/ram:SpecifiedTradePaymentTerms/ram:DueDateDateTime`),
    typeCode: textOf(xml, 'rsm:ExchangedDocument/ram:TypeCode'),
    currency: textOf(xml, `${settlement}/ram:InvoiceCurrencyCode`),
    terms: textOf(xml, `${settlement}/ram:SpecifiedTradePaymentTerms/ram:Description`),
    precedings: all(xml, `${settlement}/ram:InvoiceReferencedDocument/ram:IssuerAssignedID`).map(
      ({ text }) => text,
    ),
    days: period ? [date(period, 'ram:StartDateTime'), date(period, 'ram:EndDateTime')] : null,
    note: textOf(xml, 'rsm:ExchangedDocument/ram:IncludedNote/ram:Content'),
    seller: party('Seller'),
    buyer: party('Buyer'),
    lines: all(xml, `${trade}/ram:IncludedSupplyChainTradeLineItem`).map((of) => {
      const price = 'ram:SpecifiedLineTradeAgreement/ram:NetPriceProductTradePrice';
      const quantity = 'ram:SpecifiedLineTradeDelivery/ram:BilledQuantity';
      const lineSettlement = 'ram:SpecifiedLineTradeSettlement';
      const [tax] = all(of, `${lineSettlement}/ram:ApplicableTradeTax`);
      return {
        id: textOf(of, 'ram:AssociatedDocumentLineDocument/ram:LineID'),
        name: textOf(of, 'ram:SpecifiedTradeProduct/ram:Name'),
        quantity: textOf(of, quantity),
        unit: all(of, quantity)[0]?.attributes['unitCode'] ?? null,
        price: textOf(of, `${price}/ram:ChargeAmount`),
        base: textOf(of, `${price}/ram:BasisQuantity`),
        allowances: all(of, `${lineSettlement}/ram:SpecifiedTradeAllowanceCharge`).map((one) => ({
          isCharge: textOf(one, 'ram:ChargeIndicator/udt:Indicator'),
          amount: textOf(one, 'ram:ActualAmount'),
          reason: textOf(one, 'ram:Reason'),
        })),
        net: textOf(
          of,
          `${lineSettlement}/ram:SpecifiedTradeSettlementLineMonetarySummation/ram:LineTotalAmount`,
        ),
        ...(tax ? vat(tax) : { category: null, rate: null }),
      };
    }),
    vats: all(xml, `${settlement}/ram:ApplicableTradeTax`).map((of) => ({
      net: textOf(of, 'ram:BasisAmount'),
      tax: textOf(of, 'ram:CalculatedAmount'),
      reason: textOf(of, 'ram:ExemptionReason'),
      ...vat(of),
    })),
    lineSum: textOf(xml, `${sums}/ram:LineTotalAmount`),
    exclusive: textOf(xml, `${sums}/ram:TaxBasisTotalAmount`),
    tax: textOf(xml, `${sums}/ram:TaxTotalAmount`),
    inclusive: textOf(xml, `${sums}/ram:GrandTotalAmount`),
    due: textOf(xml, `${sums}/ram:DuePayableAmount`),
    currencies: attributesOf(xml, 'currencyID'),
  };
}

function attributesOf({ attributes, children }: Xml, name: string): string[] {
  const own = attributes[name];
  const below = children.flatMap((child) => attributesOf(child, name));
  return own === undefined ? below : [own, ...below];
}

const DAY = /^\d{4}-\d{2}-\d{2}$/;
const DECIMAL = /^-?\d+(\.\d+)?$/;
const number = (text: string | null) => new Decimal(text ?? Number.NaN);
const sum = (texts: readonly (string | null)[]) =>
  texts.reduce((all, text) => all.add(number(text)), new Decimal(0));
const isSaid = (text: string | null) => text !== null && text.trim() !== '';
const hasPlaces = (text: string | null, max: number) =>
  text !== null && DECIMAL.test(text) && number(text).dp() <= max && !/\.\d{3}/.test(text);
const isEither = (...texts: (string | null)[]) => texts.some((text) => isSaid(text));
const implies = (premise: boolean, conclusion: boolean) => !premise || conclusion;
const uses = ({ lines, vats }: Told, category: string) =>
  [...lines, ...vats].some((one) => one.category === category);
const categoriesAt = (told: Told, category: string) => ({
  lines: told.lines.filter((line) => line.category === category),
  vats: told.vats.filter((vat) => vat.category === category),
});
/** What the tax of a rate may be off by: lines of inclusive prices and of two names are rounded apart. */
const TAX_TOLERANCE = '0.04';

type Rule = (told: Told) => boolean;

const allowancesOf = (lines: Told['lines']) => lines.flatMap(({ allowances }) => allowances);

/** The rules of EN 16931 for what is used of it; charges, prepayments, rounding and allowances of the whole document are not. */
const RULES: Readonly<Record<string, Rule>> = {
  'BR-1': ({ specification }) => specification === 'urn:cen.eu:en16931:2017',
  'BR-2': (told) => isSaid(told.number),
  'BR-3': ({ issuedOn }) => DAY.test(issuedOn ?? ''),
  'BR-4': ({ typeCode }) => typeCode === '380' || typeCode === '381',
  'BR-5': ({ currency }) => /^[A-Z]{3}$/.test(currency ?? ''),
  'BR-6': ({ seller }) => isSaid(seller.name),
  'BR-7': ({ buyer }) => isSaid(buyer.name),
  'BR-8': ({ seller }) => seller.hasAddress,
  'BR-9': ({ seller }) => /^[A-Z]{2}$/.test(seller.country ?? ''),
  'BR-10': ({ buyer }) => buyer.hasAddress,
  'BR-11': ({ buyer }) => /^[A-Z]{2}$/.test(buyer.country ?? ''),
  'BR-12': ({ lineSum }) => hasPlaces(lineSum, 2),
  'BR-13': ({ exclusive }) => hasPlaces(exclusive, 2),
  'BR-14': ({ inclusive }) => hasPlaces(inclusive, 2),
  'BR-15': ({ due }) => hasPlaces(due, 2),
  'BR-16': ({ lines }) => lines.length > 0,
  'BR-21': ({ lines }) => new Set(lines.map(({ id }) => id)).size === lines.length,
  'BR-22': ({ lines }) => lines.every(({ quantity }) => DECIMAL.test(quantity ?? '')),
  'BR-23': ({ lines }) => lines.every(({ unit }) => unit === 'C62'),
  'BR-24': ({ lines }) => lines.every(({ net }) => isSaid(net)),
  'BR-25': ({ lines }) => lines.every(({ name }) => isSaid(name)),
  'BR-26': ({ lines }) => lines.every(({ price }) => DECIMAL.test(price ?? '')),
  'BR-27': ({ lines }) => lines.every(({ price }) => number(price).gte(0)),
  'BR-29': ({ days }) => !days || (days[0] ?? '') <= (days[1] ?? ''),
  'BR-41': ({ lines }) => allowancesOf(lines).every(({ amount }) => hasPlaces(amount, 2)),
  'BR-42': ({ lines }) =>
    allowancesOf(lines).every(({ reason, isCharge }) => isSaid(reason) && isCharge === 'false'),
  'BR-45': ({ vats }) => vats.every(({ net }) => isSaid(net)),
  'BR-46': ({ vats }) => vats.every(({ tax }) => isSaid(tax)),
  'BR-47': ({ vats }) => vats.every(({ category }) => isSaid(category)),
  'BR-48': ({ vats }) => vats.every(({ category, rate }) => (category === 'O') === (rate === null)),
  'BR-55': ({ precedings }) => precedings.every((text) => isSaid(text)),
  'BR-CO-4': ({ lines }) =>
    lines.every(({ category }) => ['S', 'Z', 'E', 'AE', 'O'].includes(category ?? '')),
  'BR-CO-9': ({ seller, buyer }) =>
    [seller, buyer].every(({ vatId }) => vatId === null || /^[A-Z]{2}[0-9A-Z+*]{2,}$/.test(vatId)),
  'BR-CO-10': ({ lines, lineSum }) => sum(lines.map(({ net }) => net)).eq(number(lineSum)),
  'BR-CO-13': ({ lineSum, exclusive }) => number(lineSum).eq(number(exclusive)),
  'BR-CO-14': ({ vats, tax }) => sum(vats.map((vat) => vat.tax)).eq(number(tax)),
  'BR-CO-15': ({ exclusive, tax, inclusive }) =>
    number(exclusive).add(number(tax)).eq(number(inclusive)),
  'BR-CO-16': ({ inclusive, due }) => number(inclusive).eq(number(due)),
  'BR-CO-17': ({ vats, currency }) =>
    vats.every(({ net, rate, tax }) => {
      const off = number(net)
        .mul(rate ?? 0)
        .div(100)
        .sub(number(tax))
        .abs();
      return off.lte(currency === 'JPY' ? number(TAX_TOLERANCE).mul(100) : TAX_TOLERANCE);
    }),
  'BR-CO-18': ({ vats }) => vats.length > 0,
  'BR-CO-25': ({ due, dueOn, terms }) => implies(number(due).gt(0), isEither(dueOn, terms)),
  'BR-CO-26': ({ seller }) => seller.ids.length > 0 || isEither(seller.registration, seller.vatId),
  'BR-DEC-12': ({ exclusive }) => hasPlaces(exclusive, 2),
  'BR-DEC-13': ({ tax }) => hasPlaces(tax, 2),
  'BR-DEC-19': ({ vats }) => vats.every(({ net }) => hasPlaces(net, 2)),
  'BR-DEC-20': ({ vats }) => vats.every(({ tax }) => hasPlaces(tax, 2)),
  'BR-DEC-23': ({ lines }) => lines.every(({ net }) => hasPlaces(net, 2)),
  'one currency': ({ currency, currencies }) => currencies.every((one) => one === currency),
  // PEPPOL-EN16931-R120: whoever reads it multiplies.
  'line net': ({ lines, currency }) =>
    lines.every(({ quantity, price, base, allowances, net }) => {
      const exact = number(quantity).mul(number(price)).div(number(base));
      const whole = exact.toDecimalPlaces(currency === 'JPY' ? 0 : 2);
      return whole.sub(sum(allowances.map(({ amount }) => amount))).eq(number(net));
    }),
  ...Object.assign({}, ...['S', 'Z', 'E', 'AE', 'O'].map(categoryRules)),
  'BR-O-11': (told) => implies(uses(told, 'O'), told.vats.length === 1),
  'BR-O-12': (told) =>
    implies(
      uses(told, 'O'),
      told.lines.every(({ category }) => category === 'O'),
    ),
};

/** BR-S-*, BR-Z-*, BR-E-*, BR-AE-*, BR-O-*, which have one pattern. */
function categoryRules(category: string): Record<string, Rule> {
  const isTaxed = category === 'S';
  const isOutside = category === 'O';
  const isRate = (rate: string | null) =>
    isOutside ? rate === null : isTaxed ? number(rate).gt(0) : number(rate).isZero();
  const needsReason = ['E', 'AE', 'O'].includes(category);
  return {
    [`BR-${category}-1`]: (told) => {
      const { lines, vats } = categoriesAt(told, category);
      const isOnce = isTaxed ? vats.length > 0 : vats.length === 1;
      return lines.length > 0 ? isOnce : vats.length === 0;
    },
    [`BR-${category}-2`]: (told) => {
      const { seller, buyer } = told;
      if (!uses(told, category)) return true;
      if (isOutside) return seller.vatId === null && buyer.vatId === null;
      const isBuyerKnown = category !== 'AE' || isEither(buyer.vatId, buyer.registration);
      return isEither(seller.vatId, seller.taxRegistration) && isBuyerKnown;
    },
    [`BR-${category}-5`]: (told) =>
      categoriesAt(told, category).lines.every(({ rate }) => isRate(rate)),
    [`BR-${category}-8`]: (told) => {
      const { lines, vats } = categoriesAt(told, category);
      const rates = new Set(vats.map(({ rate }) => rate));
      return (
        rates.size === vats.length &&
        vats.every(({ rate, net }) => {
          const nets = lines.filter((line) => line.rate === rate).map((line) => line.net);
          return sum(nets).eq(number(net));
        })
      );
    },
    [`BR-${category}-9`]: (told) =>
      categoriesAt(told, category).vats.every(({ rate, tax }) =>
        isTaxed ? isRate(rate) : number(tax).isZero(),
      ),
    [`BR-${category}-10`]: (told) =>
      categoriesAt(told, category).vats.every(({ reason }) => isSaid(reason) === needsReason),
  };
}

/** The rules that a document breaks. */
export function brokenRules(told: Told): string[] {
  return Object.entries(RULES)
    .filter(([, isKept]) => !isKept(told))
    .map(([name]) => name);
}
