import { createHash, randomBytes } from 'node:crypto';
import { invoiceLines, type TaxedDraft } from '@core/billing';
import { prefixedId, type Period } from '@core/kernel';
import { Prisma } from '@io/platform';
import { storedSnapshot, storedTaxGroup } from './invoice-rows.js';
import type { Parties } from './parties.js';

/** A draft with all that an invoice keeps of it. */
export interface DraftToStore {
  readonly draft: TaxedDraft;
  readonly content: DraftContent;
  readonly parties: Parties;
}

/** The draft of an invoice. */
export interface InvoiceDraftOf extends DraftToStore {
  readonly id: string;
}

/** What an invoice keeps of a draft's lines and tax. */
export interface DraftContent {
  readonly lines: readonly LineRow[];
  readonly taxes: string;
  /** SHA-256 over all of it and the sums, in hex. */
  readonly hash: string;
}

type LineRow = ReturnType<typeof lineRow>;

const HOUR_MS = 3_600_000;

/** How long a draft gathers usage: of the instant of a start there is none to come. */
export function collectionHours(period: Period, finalising: Parties['finalising']): number {
  return period.from < period.to ? finalising.collectionHours : 0;
}

/** Stores drafts of an account as invoices, and answers them with the id of each. */
export async function insertDrafts<T extends DraftToStore>(
  tx: Prisma.TransactionClient,
  accountId: string,
  { at, revision, drafts }: { readonly at: Date; readonly revision: number; drafts: readonly T[] },
): Promise<(T & InvoiceDraftOf)[]> {
  const made = drafts.map((one) => ({ ...one, id: prefixedId('inv', randomBytes) }));
  const rows = made.map(({ id, draft, content, parties }) => {
    const { issuer, recipient, finalising } = parties;
    const hours = collectionHours(draft.period, finalising);
    const collectsUntil = new Date(at.getTime() + hours * HOUR_MS);
    return {
      id,
      draft,
      ...content,
      issuer,
      recipient,
      collectsUntil,
      finaliseAt: finalising.requiresApproval ? 'infinity' : collectsUntil.toISOString(),
    };
  });
  await tx.$executeRaw`
    INSERT INTO invoice (id, account_id, customer_id, subscription_id, currency, subtotal_minor, tax_minor, total_minor, taxes,
      content_hash, issuer, recipient, timezone, period_from, period_to, revision, created_at, collects_until, finalise_at)
    SELECT id, ${accountId}, customer_id, subscription_id, currency, subtotal_minor, tax_minor, total_minor, taxes::jsonb,
      decode(content_hash, 'hex'), issuer::jsonb, recipient::jsonb, timezone, period_from, period_to, ${revision}, ${at},
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
      ${rows.map(({ draft }) => draft.timezone)}::text[],
      ${rows.map(({ draft }) => draft.period.from)}::timestamptz[],
      ${rows.map(({ draft }) => draft.period.to)}::timestamptz[],
      ${rows.map(({ collectsUntil }) => collectsUntil)}::timestamptz[],
      ${rows.map(({ finaliseAt }) => finaliseAt)}::timestamptz[]
    ) AS new (id, customer_id, subscription_id, currency, subtotal_minor, tax_minor, total_minor, taxes, content_hash, issuer,
      recipient, timezone, period_from, period_to, collects_until, finalise_at)`;
  await insertLines(tx, accountId, made);
  return made;
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
  const rows = drafts.map(({ id, draft, content, parties }) => ({
    id,
    draft,
    ...content,
    ...parties,
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
  await insertLines(tx, accountId, drafts);
}

/** What an invoice keeps of a draft. */
export function contentOf({ lines, taxes, subtotal, tax, total }: TaxedDraft): DraftContent {
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
  drafts: readonly InvoiceDraftOf[],
): Promise<void> {
  const rows = drafts.flatMap(({ id: invoiceId, draft: { customerId }, content }) =>
    content.lines.map((line, ordinal) => {
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
