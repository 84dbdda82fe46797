import type { EInvoiceParty } from './e-invoice-party.js';
import type { EInvoice, EInvoiceLine, Vat, VatBreakdown } from './e-invoice.js';
import { element, leaf, optionalLeaf, xmlDocument, type XmlElement } from './xml.js';

const OASIS = 'urn:oasis:names:specification:ubl:schema:xsd';

/** An e-invoice in the syntax of UBL 2.1: an Invoice, or a CreditNote. The order of elements is that of its schema. */
export function ublXml(invoice: EInvoice): string {
  const root = invoice.typeCode === '380' ? 'Invoice' : 'CreditNote';
  const { seller, buyer, days, note, currency, net, gross, vats } = invoice;
  const money = (name: string, amount: string) => leaf(name, amount, { currencyID: currency });
  const isInvoice = root === 'Invoice';
  return xmlDocument(
    element(
      root,
      leaf('cbc:CustomizationID', 'urn:cen.eu:en16931:2017'),
      leaf('cbc:ID', invoice.number),
      leaf('cbc:IssueDate', invoice.issuedOn),
      isInvoice ? optionalLeaf('cbc:DueDate', invoice.dueOn) : null,
      leaf(`cbc:${root}TypeCode`, invoice.typeCode),
      optionalLeaf('cbc:Note', note),
      leaf('cbc:DocumentCurrencyCode', currency),
      days &&
        element(
          'cac:InvoicePeriod',
          leaf('cbc:StartDate', days.first),
          leaf('cbc:EndDate', days.last),
        ),
      billingReference(invoice.corrects),
      element('cac:AccountingSupplierParty', party(seller, 'seller')),
      element('cac:AccountingCustomerParty', party(buyer, 'buyer')),
      invoice.paymentTerms === null
        ? null
        : element('cac:PaymentTerms', leaf('cbc:Note', invoice.paymentTerms)),
      element(
        'cac:TaxTotal',
        money('cbc:TaxAmount', invoice.vat),
        vats.map((vat) => taxSubtotal(vat, money)),
      ),
      element(
        'cac:LegalMonetaryTotal',
        money('cbc:LineExtensionAmount', net),
        money('cbc:TaxExclusiveAmount', net),
        money('cbc:TaxInclusiveAmount', gross),
        money('cbc:PayableAmount', gross),
      ),
      invoice.lines.map((line) => lineElement(line, { isInvoice, money })),
    ),
    {
      xmlns: `${OASIS}:${root}-2`,
      'xmlns:cac': `${OASIS}:CommonAggregateComponents-2`,
      'xmlns:cbc': `${OASIS}:CommonBasicComponents-2`,
    },
  );
}

function billingReference(number: string | null): XmlElement | null {
  if (number === null) return null;
  const reference = element('cac:InvoiceDocumentReference', leaf('cbc:ID', number));
  return element('cac:BillingReference', reference);
}

function party(of: EInvoiceParty, role: 'seller' | 'buyer'): XmlElement {
  const { addressLines, country, vatId, otherTaxId, tradingName, email } = of;
  const [street, additional, third] = addressLines;
  const isRegistration = role === 'buyer';
  return element(
    'cac:Party',
    optionalLeaf('cbc:EndpointID', email, { schemeID: 'EM' }),
    element('cac:PartyIdentification', leaf('cbc:ID', of.id)),
    tradingName === null ? null : element('cac:PartyName', leaf('cbc:Name', tradingName)),
    element(
      'cac:PostalAddress',
      optionalLeaf('cbc:StreetName', street ?? null),
      optionalLeaf('cbc:AdditionalStreetName', additional ?? null),
      third === undefined ? null : element('cac:AddressLine', leaf('cbc:Line', third)),
      element('cac:Country', leaf('cbc:IdentificationCode', country ?? '')),
    ),
    vatId === null ? null : partyTaxScheme(vatId, 'VAT'),
    otherTaxId === null || isRegistration ? null : partyTaxScheme(otherTaxId, 'TAX'),
    element(
      'cac:PartyLegalEntity',
      leaf('cbc:RegistrationName', of.name),
      isRegistration ? optionalLeaf('cbc:CompanyID', otherTaxId) : null,
    ),
  );
}

function partyTaxScheme(id: string, scheme: 'VAT' | 'TAX'): XmlElement {
  return element('cac:PartyTaxScheme', leaf('cbc:CompanyID', id), taxScheme(scheme));
}

function taxScheme(id: 'VAT' | 'TAX'): XmlElement {
  return element('cac:TaxScheme', leaf('cbc:ID', id));
}

function taxCategory(name: string, { category, ratePercent }: Vat, reason: string | null = null) {
  return element(
    name,
    leaf('cbc:ID', category),
    optionalLeaf('cbc:Percent', ratePercent),
    optionalLeaf('cbc:TaxExemptionReason', reason),
    taxScheme('VAT'),
  );
}

type MoneyLeaf = (name: string, amount: string) => XmlElement;

function taxSubtotal(vat: VatBreakdown, money: MoneyLeaf): XmlElement {
  return element(
    'cac:TaxSubtotal',
    money('cbc:TaxableAmount', vat.net),
    money('cbc:TaxAmount', vat.tax),
    taxCategory('cac:TaxCategory', vat, vat.reason),
  );
}

function lineElement(
  line: EInvoiceLine,
  { isInvoice, money }: { readonly isInvoice: boolean; readonly money: MoneyLeaf },
): XmlElement {
  const units = (name: string, quantity: string) => leaf(name, quantity, { unitCode: 'C62' });
  return element(
    isInvoice ? 'cac:InvoiceLine' : 'cac:CreditNoteLine',
    leaf('cbc:ID', line.id),
    units(isInvoice ? 'cbc:InvoicedQuantity' : 'cbc:CreditedQuantity', line.quantity),
    money('cbc:LineExtensionAmount', line.net),
    line.allowances.map(({ amount, reason }) =>
      element(
        'cac:AllowanceCharge',
        leaf('cbc:ChargeIndicator', 'false'),
        leaf('cbc:AllowanceChargeReason', reason),
        money('cbc:Amount', amount),
      ),
    ),
    element(
      'cac:Item',
      optionalLeaf('cbc:Description', line.description),
      leaf('cbc:Name', line.name),
      taxCategory('cac:ClassifiedTaxCategory', line.vat),
    ),
    element(
      'cac:Price',
      money('cbc:PriceAmount', line.price),
      units('cbc:BaseQuantity', line.baseQuantity),
    ),
  );
}
