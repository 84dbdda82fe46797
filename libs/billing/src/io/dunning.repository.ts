import { Injectable } from '@nestjs/common';
import { dueSteps, type DunningAction, type DunningStep } from '@core/billing';
import type { Scope } from '@core/identity';
import { formatMoney } from '@core/kernel';
import { composeEmail, isRecipient } from '@core/notifications';
import { publishEvents, queueEmails } from '@io/notifications';
import { appendAudit, Database, pageArguments, type PageRequest, type Prisma } from '@io/platform';
import { blockCustomer, databaseNow } from './customer-blocks.js';
import { lockInvoice, toHeads, type Invoice, type InvoiceHead } from './invoice-rows.js';
import { storedList } from './json.js';

/** An invoice that was not paid when it was due, and what was done since. */
export interface OverdueInvoice extends InvoiceHead {
  readonly dueAt: Date;
  readonly done: readonly (DunningStep & { readonly doneAt: Date })[];
}

/** Who acts when no person does. */
const WORKER = 'worker';

/** What is done about invoices that are overdue: each step once for each invoice. Locks: invoice → audit chain. */
@Injectable()
export class DunningRepository {
  constructor(private readonly db: Database) {}

  /** The account's steps; none when it has no schedule. */
  async schedule({ accountId }: { readonly accountId: string }): Promise<DunningStep[]> {
    return stepsOf(await this.db.dunningSchedule.findUnique({ where: { accountId } }));
  }

  async setSchedule(scope: Scope, steps: readonly DunningStep[], at: Date): Promise<void> {
    const { accountId, principalId } = scope;
    await this.db.$transaction(async (tx) => {
      await tx.$queryRaw`SELECT FROM account WHERE id = ${accountId} FOR NO KEY UPDATE`;
      const before = stepsOf(await tx.dunningSchedule.findUnique({ where: { accountId } }));
      const stored = { steps: storedList(steps), updatedAt: at };
      await tx.dunningSchedule.upsert({
        where: { accountId },
        create: { accountId, ...stored },
        update: stored,
      });
      const change = { before: { steps: before }, after: { steps } };
      const subject = accountId;
      await appendAudit(tx, {
        accountId,
        principalId,
        action: 'set-dunning-schedule',
        subject,
        ...change,
      });
    });
  }

  /** Invoices with a step that may be due by their account's clock, the longest overdue first: a day is 25 hours at most. */
  due(
    systemNow: Date,
    limit: number,
  ): Promise<{ readonly accountId: string; readonly id: string }[]> {
    return this.db.$queryRaw`
      SELECT i.account_id AS "accountId", i.id
      FROM dunning_schedule s JOIN account a ON a.id = s.account_id
        JOIN invoice i ON i.account_id = a.id AND i.status = 'finalised' AND i.total_minor > 0
      WHERE EXISTS (
        SELECT FROM jsonb_to_recordset(s.steps) AS step ("afterDays" int, action text)
        WHERE i.due_at + (step."afterDays" * interval '24 hours' - interval '2 hours')
            <= ${systemNow}::timestamptz + a.clock_offset_ms * interval '1 millisecond'
          AND NOT EXISTS (
            SELECT FROM dunning_step d
            WHERE d.invoice_id = i.id AND d.after_days = step."afterDays" AND d.action = step.action))
      ORDER BY i.due_at, i.id
      LIMIT ${limit}`;
  }

  /**
   * Does what is due for an invoice, and answers how many steps it were. With the invoice locked, so that a payment comes before
   * or after it, and a step happens once.
   */
  async take(
    { accountId, id }: { readonly accountId: string; readonly id: string },
    at: Date,
  ): Promise<number> {
    return this.db.$transaction(async (tx) => {
      const invoice = await lockInvoice(tx, { accountId }, id);
      if (invoice?.status !== 'finalised' || invoice.dueMinor === 0n || !invoice.dueAt) return 0;
      const steps = stepsOf(await tx.dunningSchedule.findUnique({ where: { accountId } }));
      const rows = await tx.dunningStep.findMany({ where: { accountId, invoiceId: id } });
      const { dueAt, timezone, customerId } = invoice;
      const due = dueSteps(steps, { dueAt, timezone, at, done: rows.map(toStep) });
      for (const step of due) {
        await tx.dunningStep.create({
          data: { accountId, customerId, invoiceId: id, ...step, doneAt: at },
        });
        await act(tx, invoice, step, at);
      }
      return due.length;
    });
  }

  /** Invoices that were to be paid before the instant and are not. */
  async overdue(
    { accountId }: Scope,
    filter: { readonly customerId?: string },
    { at, page }: { readonly at: Date; readonly page: PageRequest },
  ): Promise<OverdueInvoice[]> {
    const { where, ...rest } = pageArguments(page);
    const isOpen = { status: 'finalised', totalMinor: { gt: 0n }, dueAt: { lt: at } };
    const rows = await this.db.invoice.findMany({
      where: { accountId, AND: [isOpen, filter, where] },
      ...rest,
    });
    const done = await this.db.dunningStep.findMany({
      where: { accountId, invoiceId: { in: rows.map(({ id }) => id) } },
      orderBy: { afterDays: 'asc' },
    });
    const heads = await toHeads(this.db, rows);
    return heads.flatMap((head) => {
      const own = done.filter(({ invoiceId }) => invoiceId === head.id);
      const steps = own.map((row) => ({ ...toStep(row), doneAt: row.doneAt }));
      return head.dueAt ? [{ ...head, dueAt: head.dueAt, done: steps }] : [];
    });
  }
}

function stepsOf(row: { readonly steps: unknown } | null): DunningStep[] {
  return row ? (row.steps as DunningStep[]) : [];
}

function toStep({ afterDays, action }: { afterDays: number; action: string }): DunningStep {
  return { afterDays, action: action as DunningAction };
}

async function act(
  tx: Prisma.TransactionClient,
  invoice: Invoice,
  { action, afterDays }: DunningStep,
  at: Date,
): Promise<void> {
  const { id: invoiceId, accountId, customerId, number, currency, dueMinor, dueAt } = invoice;
  const now = await databaseNow(tx);
  const due = formatMoney({ minor: dueMinor, currency });
  const data = { invoiceId, number, customerId, due, currency, afterDays, action };
  const isOnce = { subjectId: `${invoiceId} ${afterDays} ${action}`, at };
  await publishEvents(tx, [{ accountId, type: 'invoice.overdue', ...isOnce, data }], now);
  if (action === 'block') {
    const why = { reason: 'overdue-invoice', subjectId: invoiceId, note: null } as const;
    await blockCustomer(tx, { accountId, customerId, ...why, createdBy: WORKER, at });
  }
  const customer = await tx.customer.findUniqueOrThrow({ where: { accountId, id: customerId } });
  if (customer.email === null || !isRecipient(customer.email)) return;
  const message = composeEmail({
    recipient: customer.email,
    subject:
      action === 'block'
        ? `Access is suspended: invoice ${number}`
        : `Invoice ${number} is overdue`,
    paragraphs: [
      `Invoice ${number} of ${invoice.issuer.name} was payable by ${dueAt?.toISOString().slice(0, 10)}. ${due} ${currency} is still due.`,
      action === 'block'
        ? 'Calls with your API keys are refused until it is paid.'
        : 'If you have paid it in the meantime, please disregard this message.',
    ],
  });
  await queueEmails(tx, [{ ...message, accountId, cause: isOnce.subjectId }], now);
}
