import assert from 'node:assert';

/**
 * The number of an invoice: `TG-000001`, the series and its n-th number, from 1, padded so that they sort as text
 * up to a million.
 *
 * It holds no date, since a series runs on over the years without a gap; n is given when the invoice is finalised.
 */
export function invoiceNumber(series: string, n: bigint): string {
  assert(/^[A-Z][A-Z0-9]{0,9}$/.test(series), `"${series}" is not a series of invoices.`);
  assert(n >= 1n, 'Invoices are numbered from 1.');
  return `${series}-${n.toString().padStart(6, '0')}`;
}
