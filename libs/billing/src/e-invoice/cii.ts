import type { EInvoiceParty } from './e-invoice-party.js';
import type { EInvoice, EInvoiceLine, Vat, VatBreakdown } from './e-invoice.js';
import { element, leaf, optionalLeaf, xmlDocument, type XmlElement } from './xml.js';

const UNECE = 'urn:un:unece:uncefact:data';

/** An e-invoice in the syntax of UN/CEFACT's Cross Industry Invoice D16B. The order of elements is that of its schema. */
export function ciiXml(invoice: EInvoice): string {
  const { note } = invoice;
  return xmlDocument(
    element(
      'rsm:CrossIndustryInvoice',
      element(
        'rsm:ExchangedDocumentContext',
        element(
          'ram:GuidelineSpecifiedDocumentContextParameter',
          leaf('ram:ID', 'urn:cen.eu:en16931:2017'),
        ),
      ),
      element(
        'rsm:ExchangedDocument',
        leaf('ram:ID', invoice.number),
        leaf('ram:TypeCode', invoice.typeCode),
        day('ram:IssueDateTime', invoice.issuedOn),
        note === null ? null : element('ram:IncludedNote', leaf('ram:Content', note)),
      ),
      element(
        'rsm:SupplyChainTradeTransaction',
        invoice.lines.map(lineElement),
        element(
          'ram:ApplicableHeaderTradeAgreement',
          party('ram:SellerTradeParty', invoice.seller),
          party('ram:BuyerTradeParty', invoice.buyer),
        ),
        element('ram:ApplicableHeaderTradeDelivery'),
        settlement(invoice),
      ),
    ),
    {
      'xmlns:rsm': `${UNECE}:standard:CrossIndustryInvoice:100`,
      'xmlns:ram': `${UNECE}:standard:ReusableAggregateBusinessInformationEntity:100`,
      'xmlns:udt': `${UNECE}:standard:UnqualifiedDataType:100`,
    },
  );
}

/** A day as format 102 of UNTDID 2379 has it: `20261130`. */
function day(name: string, date: string): XmlElement {
  return element(name, leaf('udt:DateTimeString', date.replaceAll('-', ''), { format: '102' }));
}

function lineElement(line: EInvoiceLine): XmlElement {
  const units = (name: string, quantity: string) => leaf(name, quantity, { unitCode: 'C62' });
  return element(
    'ram:IncludedSupplyChainTradeLineItem',
    element('ram:AssociatedDocumentLineDocument', leaf('ram:LineID', line.id)),
    element(
      'ram:SpecifiedTradeProduct',
      leaf('ram:Name', line.name),
      optionalLeaf('ram:Description', line.description),
    ),
    element(
      'ram:SpecifiedLineTradeAgreement',
      element(
        'ram:NetPriceProductTradePrice',
        leaf('ram:ChargeAmount', line.price),
        units('ram:BasisQuantity', line.baseQuantity),
      ),
    ),
    element('ram:SpecifiedLineTradeDelivery', units('ram:BilledQuantity', line.quantity)),
    element(
      'ram:SpecifiedLineTradeSettlement',
      element('ram:ApplicableTradeTax', leaf('ram:TypeCode', 'VAT'), ...vatCodes(line.vat)),
      line.allowances.map(({ amount, reason }) =>
        element(
          'ram:SpecifiedTradeAllowanceCharge',
          element('ram:ChargeIndicator', leaf('udt:Indicator', 'false')),
          leaf('ram:ActualAmount', amount),
          leaf('ram:Reason', reason),
        ),
      ),
      element(
        'ram:SpecifiedTradeSettlementLineMonetarySummation',
        leaf('ram:LineTotalAmount', line.net),
      ),
    ),
  );
}

function vatCodes({ category, ratePercent }: Vat): (XmlElement | null)[] {
  return [
    leaf('ram:CategoryCode', category),
    optionalLeaf('ram:RateApplicablePercent', ratePercent),
  ];
}

function party(name: 'ram:SellerTradeParty' | 'ram:BuyerTradeParty', of: EInvoiceParty) {
  const { tradingName, vatId, otherTaxId, addressLines, country, email } = of;
  const [one, two, three] = addressLines;
  const registration = name === 'ram:BuyerTradeParty' ? otherTaxId : null;
  const registered = [
    optionalLeaf('ram:ID', registration),
    optionalLeaf('ram:TradingBusinessName', tradingName),
  ];
  const taxRegistration = (id: string, schemeID: 'VA' | 'FC') =>
    element('ram:SpecifiedTaxRegistration', leaf('ram:ID', id, { schemeID }));
  return element(
    name,
    leaf('ram:ID', of.id),
    leaf('ram:Name', of.name),
    registered.every((part) => part === null)
      ? null
      : element('ram:SpecifiedLegalOrganization', ...registered),
    element(
      'ram:PostalTradeAddress',
      optionalLeaf('ram:LineOne', one ?? null),
      optionalLeaf('ram:LineTwo', two ?? null),
      optionalLeaf('ram:LineThree', three ?? null),
      leaf('ram:CountryID', country ?? ''),
    ),
    email === null
      ? null
      : element('ram:URIUniversalCommunication', leaf('ram:URIID', email, { schemeID: 'EM' })),
    vatId === null ? null : taxRegistration(vatId, 'VA'),
    otherTaxId === null || registration !== null ? null : taxRegistration(otherTaxId, 'FC'),
  );
}

function settlement(invoice: EInvoice): XmlElement {
  const { currency, days, dueOn, paymentTerms, corrects, net, gross } = invoice;
  return element(
    'ram:ApplicableHeaderTradeSettlement',
    leaf('ram:InvoiceCurrencyCode', currency),
    invoice.vats.map(tradeTax),
    days &&
      element(
        'ram:BillingSpecifiedPeriod',
        day('ram:StartDateTime', days.first),
        day('ram:EndDateTime', days.last),
      ),
    paymentTerms === null && dueOn === null
      ? null
      : element(
          'ram:SpecifiedTradePaymentTerms',
          optionalLeaf('ram:Description', paymentTerms),
          dueOn === null ? null : day('ram:DueDateDateTime', dueOn),
        ),
    element(
      'ram:SpecifiedTradeSettlementHeaderMonetarySummation',
      leaf('ram:LineTotalAmount', net),
      leaf('ram:TaxBasisTotalAmount', net),
      leaf('ram:TaxTotalAmount', invoice.vat, { currencyID: currency }),
      leaf('ram:GrandTotalAmount', gross),
      leaf('ram:DuePayableAmount', gross),
    ),
    corrects === null
      ? null
      : element('ram:InvoiceReferencedDocument', leaf('ram:IssuerAssignedID', corrects)),
  );
}

function tradeTax(vat: VatBreakdown): XmlElement {
  return element(
    'ram:ApplicableTradeTax',
    leaf('ram:CalculatedAmount', vat.tax),
    leaf('ram:TypeCode', 'VAT'),
    optionalLeaf('ram:ExemptionReason', vat.reason),
    leaf('ram:BasisAmount', vat.net),
    ...vatCodes(vat),
  );
}
