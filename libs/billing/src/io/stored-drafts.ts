import assert from 'node:assert';
import { randomBytes } from 'node:crypto';
import { invoiceLines, type TaxedDraft } from '@core/billing';
import { prefixedId } from '@core/kernel';
import type { Prisma } from '@io/platform';
import { storedSnapshot, storedTaxGroup } from './invoice-rows.js';
import { issuersOf } from './issuer-of.js';

/** A draft that has no invoice yet. */
export interface NewDraft {
  readonly draft: TaxedDraft;
  readonly at: Date;
  readonly revision: number;
}

/** The draft of an invoice. */
export interface InvoiceDraftOf {
  readonly id: string;
  readonly draft: TaxedDraft;
}

/** Stores drafts of an account as invoices, and answers the id of each. */
export async function insertDrafts(
  tx: Prisma.TransactionClient,
  accountId: string,
  drafts: readonly NewDraft[],
): Promise<string[]> {
  const made = drafts.map((one) => ({ ...one, id: prefixedId('inv', randomBytes) }));
  const rows = await headRows(tx, accountId, made);
  const news = made.map(({ draft, revision, at }) => ({
    timezone: draft.timezone,
    period: draft.period,
    revision,
    at,
  }));
  await tx.$executeRaw`
    INSERT INTO invoice (id, account_id, customer_id, subscription_id, currency, subtotal_minor, tax_minor, total_minor, taxes,
      issuer, recipient, timezone, period_from, period_to, revision, created_at)
    SELECT id, ${accountId}, customer_id, subscription_id, currency, subtotal_minor, tax_minor, total_minor, taxes::jsonb,
      issuer::jsonb, recipient::jsonb, timezone, period_from, period_to, revision, created_at
    FROM unnest(
      ${rows.map(({ id }) => id)}::text[],
      ${rows.map(({ customerId }) => customerId)}::text[],
      ${rows.map(({ subscriptionId }) => subscriptionId)}::text[],
      ${rows.map(({ currency }) => currency)}::text[],
      ${rows.map(({ subtotal }) => subtotal)}::bigint[],
      ${rows.map(({ tax }) => tax)}::bigint[],
      ${rows.map(({ total }) => total)}::bigint[],
      ${rows.map(({ taxes }) => taxes)}::text[],
      ${rows.map(({ issuer }) => issuer)}::text[],
      ${rows.map(({ recipient }) => recipient)}::text[],
      ${news.map(({ timezone }) => timezone)}::text[],
      ${news.map(({ period }) => period.from)}::timestamptz[],
      ${news.map(({ period }) => period.to)}::timestamptz[],
      ${news.map(({ revision }) => revision)}::int[],
      ${news.map(({ at }) => at)}::timestamptz[]
    ) AS new (id, customer_id, subscription_id, currency, subtotal_minor, tax_minor, total_minor, taxes, issuer, recipient,
      timezone, period_from, period_to, revision, created_at)`;
  await insertLines(tx, accountId, made);
  return made.map(({ id }) => id);
}

/** Puts new lines and totals, and both parties as they are now, into invoices that are drafts. */
export async function rewriteDrafts(
  tx: Prisma.TransactionClient,
  accountId: string,
  drafts: readonly InvoiceDraftOf[],
): Promise<void> {
  const rows = await headRows(tx, accountId, drafts);
  await tx.invoiceLine.deleteMany({
    where: { accountId, invoiceId: { in: drafts.map(({ id }) => id) } },
  });
  await tx.$executeRaw`
    UPDATE invoice SET subtotal_minor = new.subtotal_minor, tax_minor = new.tax_minor, total_minor = new.total_minor,
      taxes = new.taxes::jsonb, issuer = new.issuer::jsonb, recipient = new.recipient::jsonb
    FROM unnest(
      ${rows.map(({ id }) => id)}::text[],
      ${rows.map(({ subtotal }) => subtotal)}::bigint[],
      ${rows.map(({ tax }) => tax)}::bigint[],
      ${rows.map(({ total }) => total)}::bigint[],
      ${rows.map(({ taxes }) => taxes)}::text[],
      ${rows.map(({ issuer }) => issuer)}::text[],
      ${rows.map(({ recipient }) => recipient)}::text[]
    ) AS new (id, subtotal_minor, tax_minor, total_minor, taxes, issuer, recipient)
    WHERE invoice.account_id = ${accountId} AND invoice.id = new.id`;
  await insertLines(tx, accountId, drafts);
}

/** What of a draft stands in the row of its invoice, as the database takes it. */
async function headRows(
  tx: Prisma.TransactionClient,
  accountId: string,
  drafts: readonly InvoiceDraftOf[],
) {
  const issuers = await issuersOf(
    tx,
    accountId,
    drafts.map(({ draft }) => draft.subscriptionId),
  );
  const customers = await tx.customer.findMany({
    where: { accountId, id: { in: drafts.map(({ draft }) => draft.customerId) } },
    select: { id: true, name: true, legalName: true, address: true, taxId: true, email: true },
  });
  const recipients = new Map(customers.map(({ id, ...party }) => [id, JSON.stringify(party)]));
  return drafts.map(({ id, draft }) => {
    const { customerId, subscriptionId, currency, subtotal, tax, total, taxes } = draft;
    const issuer = issuers.get(subscriptionId);
    const recipient = recipients.get(customerId);
    assert(issuer && recipient, `${id} has an issuer and a recipient.`);
    return {
      id,
      customerId,
      subscriptionId,
      currency,
      subtotal: subtotal.minor.toString(),
      tax: tax.minor.toString(),
      total: total.minor.toString(),
      taxes: JSON.stringify(taxes.map(storedTaxGroup)),
      issuer: JSON.stringify(issuer.party),
      recipient,
    };
  });
}

async function insertLines(
  tx: Prisma.TransactionClient,
  accountId: string,
  drafts: readonly InvoiceDraftOf[],
): Promise<void> {
  const rows = drafts.flatMap(({ id: invoiceId, draft: { customerId, lines } }) =>
    invoiceLines(lines).map((line, ordinal) => ({
      ...line,
      id: prefixedId('line', randomBytes),
      customerId,
      invoiceId,
      ordinal,
      snapshot: JSON.stringify(storedSnapshot(line)),
    })),
  );
  if (rows.length === 0) return;
  await tx.$executeRaw`
    INSERT INTO invoice_line (id, account_id, customer_id, invoice_id, ordinal, description, meter, quantity, amount, amount_minor,
      snapshot, tax)
    SELECT id, ${accountId}, customer_id, invoice_id, ordinal, description, nullif(meter, ''), quantity, amount, amount_minor,
      snapshot::jsonb, nullif(tax, '')::jsonb
    FROM unnest(
      ${rows.map(({ id }) => id)}::text[],
      ${rows.map(({ customerId }) => customerId)}::text[],
      ${rows.map(({ invoiceId }) => invoiceId)}::text[],
      ${rows.map(({ ordinal }) => ordinal)}::int[],
      ${rows.map(({ description }) => description)}::text[],
      ${rows.map(({ meter }) => meter ?? '')}::text[],
      ${rows.map(({ quantity }) => quantity)}::numeric[],
      ${rows.map(({ exactAmount }) => exactAmount)}::numeric[],
      ${rows.map(({ amountMinor }) => amountMinor.toString())}::bigint[],
      ${rows.map(({ snapshot }) => snapshot)}::text[],
      ${rows.map(({ tax }) => (tax ? JSON.stringify(tax) : ''))}::text[]
    ) AS new (id, customer_id, invoice_id, ordinal, description, meter, quantity, amount, amount_minor, snapshot, tax)`;
}
