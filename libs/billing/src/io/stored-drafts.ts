import assert from 'node:assert';
import { createHash, randomBytes } from 'node:crypto';
import { invoiceLines, type TaxedDraft } from '@core/billing';
import { prefixedId } from '@core/kernel';
import { Prisma } from '@io/platform';
import { storedSnapshot, storedTaxGroup } from './invoice-rows.js';
import { issuersOf, type IssuedBy } from './issuer-of.js';

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

const HOUR_MS = 3_600_000;

/** Stores drafts of an account as invoices, and answers the id of each. */
export async function insertDrafts(
  tx: Prisma.TransactionClient,
  accountId: string,
  drafts: readonly NewDraft[],
): Promise<string[]> {
  const made = drafts.map((one) => ({ ...one, ...contentOf(one.draft), id: newInvoiceId() }));
  const parties = await partiesOf(tx, accountId, made);
  const rows = made.map(({ draft, at, ...row }) => {
    const { issuer, recipient, finalising } = parties(draft);
    const collectsUntil = new Date(at.getTime() + finalising.collectionHours * HOUR_MS);
    return {
      ...row,
      draft,
      at,
      issuer,
      recipient,
      collectsUntil,
      finaliseAt: finalising.requiresApproval ? 'infinity' : collectsUntil.toISOString(),
      timezone: draft.timezone,
    };
  });
  await tx.$executeRaw`
    INSERT INTO invoice (id, account_id, customer_id, subscription_id, currency, subtotal_minor, tax_minor, total_minor, taxes,
      content_hash, issuer, recipient, timezone, period_from, period_to, revision, created_at, collects_until, finalise_at)
    SELECT id, ${accountId}, customer_id, subscription_id, currency, subtotal_minor, tax_minor, total_minor, taxes::jsonb,
      decode(content_hash, 'hex'), issuer::jsonb, recipient::jsonb, timezone, period_from, period_to, revision, created_at,
      collects_until, nullif(finalise_at, 'infinity')
    FROM unnest(
      ${rows.map(({ id }) => id)}::text[],
      ${rows.map(({ draft }) => draft.customerId)}::text[],
      ${rows.map(({ draft }) => draft.subscriptionId)}::text[],
      ${rows.map(({ draft }) => draft.currency)}::text[],
      ${rows.map(({ draft }) => draft.subtotal.minor.toString())}::bigint[],
      ${rows.map(({ draft }) => draft.tax.minor.toString())}::bigint[],
      ${rows.map(({ draft }) => draft.total.minor.toString())}::bigint[],
      ${rows.map(({ taxes }) => taxes)}::text[],
      ${rows.map(({ hash }) => hash)}::text[],
      ${rows.map(({ issuer }) => issuer)}::text[],
      ${rows.map(({ recipient }) => recipient)}::text[],
      ${rows.map(({ timezone }) => timezone)}::text[],
      ${rows.map(({ draft }) => draft.period.from)}::timestamptz[],
      ${rows.map(({ draft }) => draft.period.to)}::timestamptz[],
      ${rows.map(({ revision }) => revision)}::int[],
      ${rows.map(({ at }) => at)}::timestamptz[],
      ${rows.map(({ collectsUntil }) => collectsUntil)}::timestamptz[],
      ${rows.map(({ finaliseAt }) => finaliseAt)}::timestamptz[]
    ) AS new (id, customer_id, subscription_id, currency, subtotal_minor, tax_minor, total_minor, taxes, content_hash, issuer,
      recipient, timezone, period_from, period_to, revision, created_at, collects_until, finalise_at)`;
  await insertLines(tx, accountId, rows);
  return rows.map(({ id }) => id);
}

/** Whether the lines, tax and totals that an invoice keeps are others than those of its new draft. */
export function isChanged(stored: InvoiceDraftOf & { readonly contentHash: Uint8Array | null }) {
  return hexOf(stored.contentHash) !== contentOf(stored.draft).hash;
}

/** Whether an approval of `invoice` is one of its `new` content too. */
const STAYS_APPROVED = Prisma.sql`(new.is_approved OR invoice.content_hash = decode(new.content_hash, 'hex'))`;

/**
 * Puts new lines and totals, and both parties as they are now, into invoices that are drafts. An approval holds for what was
 * approved: other lines or totals are to be approved again.
 */
export async function rewriteDrafts(
  tx: Prisma.TransactionClient,
  accountId: string,
  drafts: readonly InvoiceDraftOf[],
  { keepsApproval = false }: { readonly keepsApproval?: boolean } = {},
): Promise<void> {
  if (drafts.length === 0) return;
  const parties = await partiesOf(tx, accountId, drafts);
  const rows = drafts.map((row) => ({
    ...row,
    ...contentOf(row.draft),
    ...parties(row.draft),
  }));
  await tx.invoiceLine.deleteMany({
    where: { accountId, invoiceId: { in: rows.map(({ id }) => id) } },
  });
  await tx.$executeRaw`
    UPDATE invoice SET subtotal_minor = new.subtotal_minor, tax_minor = new.tax_minor, total_minor = new.total_minor,
      taxes = new.taxes::jsonb, content_hash = decode(new.content_hash, 'hex'), issuer = new.issuer::jsonb,
      recipient = new.recipient::jsonb,
      approved_at = CASE WHEN ${STAYS_APPROVED} THEN approved_at END,
      approved_by = CASE WHEN ${STAYS_APPROVED} THEN approved_by END,
      finalise_at = CASE WHEN ${STAYS_APPROVED} OR NOT new.requires_approval THEN finalise_at END
    FROM unnest(
      ${rows.map(({ id }) => id)}::text[],
      ${rows.map(({ draft }) => draft.subtotal.minor.toString())}::bigint[],
      ${rows.map(({ draft }) => draft.tax.minor.toString())}::bigint[],
      ${rows.map(({ draft }) => draft.total.minor.toString())}::bigint[],
      ${rows.map(({ taxes }) => taxes)}::text[],
      ${rows.map(({ hash }) => hash)}::text[],
      ${rows.map(({ issuer }) => issuer)}::text[],
      ${rows.map(({ recipient }) => recipient)}::text[],
      ${rows.map(({ finalising }) => finalising.requiresApproval)}::boolean[],
      ${rows.map(() => keepsApproval)}::boolean[]
    ) AS new (id, subtotal_minor, tax_minor, total_minor, taxes, content_hash, issuer, recipient, requires_approval,
      is_approved)
    WHERE invoice.account_id = ${accountId} AND invoice.id = new.id`;
  await insertLines(tx, accountId, rows);
}

/** Issuer, recipient and how drafts become final, of the draft of each, as they are now. */
export async function partiesOf(
  tx: Prisma.TransactionClient,
  accountId: string,
  drafts: readonly Pick<InvoiceDraftOf, 'draft'>[],
): Promise<(of: TaxedDraft) => Omit<IssuedBy, 'party'> & { issuer: string; recipient: string }> {
  const subscriptionIds = drafts.map(({ draft }) => draft.subscriptionId);
  const issuers = await issuersOf(tx, accountId, subscriptionIds);
  const customers = await tx.customer.findMany({
    where: { accountId, id: { in: drafts.map(({ draft }) => draft.customerId) } },
    select: { id: true, name: true, legalName: true, address: true, taxId: true, email: true },
  });
  const recipients = new Map(customers.map(({ id, ...party }) => [id, JSON.stringify(party)]));
  return ({ subscriptionId, customerId }) => {
    const issuer = issuers.get(subscriptionId);
    const recipient = recipients.get(customerId);
    assert(issuer && recipient, `${subscriptionId} has an issuer and a recipient.`);
    const { party, ...terms } = issuer;
    return { ...terms, issuer: JSON.stringify(party), recipient };
  };
}

const newInvoiceId = () => prefixedId('inv', randomBytes);
const hexOf = (bytes: Uint8Array | null) => bytes && Buffer.from(bytes).toString('hex');

type LineRow = ReturnType<typeof lineRow>;

/** What an invoice keeps of a draft, and a hash over all of it. */
function contentOf({ lines, taxes, subtotal, tax, total }: TaxedDraft) {
  const content = {
    lines: invoiceLines(lines).map(lineRow),
    taxes: JSON.stringify(taxes.map(storedTaxGroup)),
  };
  const sums = [subtotal, tax, total].map(({ minor }) => minor.toString());
  const hash = createHash('sha256').update(JSON.stringify([content, sums]));
  return { ...content, hash: hash.digest('hex') };
}

function lineRow(line: ReturnType<typeof invoiceLines>[number]) {
  const { description, meter, quantity, exactAmount, amountMinor, tax } = line;
  return {
    description,
    meter: meter ?? '',
    quantity,
    exactAmount,
    amountMinor: amountMinor.toString(),
    snapshot: JSON.stringify(storedSnapshot(line)),
    tax: tax ? JSON.stringify(tax) : '',
  };
}

async function insertLines(
  tx: Prisma.TransactionClient,
  accountId: string,
  drafts: readonly (InvoiceDraftOf & { readonly lines: readonly LineRow[] })[],
): Promise<void> {
  const rows = drafts.flatMap(({ id: invoiceId, draft: { customerId }, lines }) =>
    lines.map((line, ordinal) => {
      const id = prefixedId('line', randomBytes);
      return { ...line, id, customerId, invoiceId, ordinal };
    }),
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
      ${rows.map(({ meter }) => meter)}::text[],
      ${rows.map(({ quantity }) => quantity)}::numeric[],
      ${rows.map(({ exactAmount }) => exactAmount)}::numeric[],
      ${rows.map(({ amountMinor }) => amountMinor)}::bigint[],
      ${rows.map(({ snapshot }) => snapshot)}::text[],
      ${rows.map(({ tax }) => tax)}::text[]
    ) AS new (id, customer_id, invoice_id, ordinal, description, meter, quantity, amount, amount_minor, snapshot, tax)`;
}
