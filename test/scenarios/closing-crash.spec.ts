import { randomInt } from 'node:crypto';
import { FinalisingService, InvoicingService, SettlementsService } from '@io/billing';
import { decimal } from '@core/kernel';
import { beforeAll, describe, expect, it } from 'vitest';
import type { CrashingWire, Moment } from '../support/crashing-wire.js';
import { startInvoicing, type Invoicing, type Subscribed } from '../support/invoicing.js';
import { startMortalApi } from '../support/mortal-api.js';

/** All of them by hand: `CRASH_EVERY=1 npx vitest run test/scenarios/closing-crash.spec.ts`. */
const EVERY = Number(process.env['CRASH_EVERY'] ?? 5);
/** With which statement it begins; over many runs each is met. */
const FIRST = 1 + randomInt(EVERY);

let stable: Invoicing;
let wire: CrashingWire;
let invoicing: InvoicingService;
let finalising: FinalisingService;
let settlements: SettlementsService;

beforeAll(async () => {
  stable = await startInvoicing();
  const started = await startMortalApi(stable.api.databaseUrl);
  wire = started.wire;
  invoicing = started.app.get(InvoicingService);
  finalising = started.app.get(FinalisingService);
  settlements = started.app.get(SettlementsService);
});

/** A month's end, as the worker and finance live it: closed, finalised with the credit of $1.00, and paid by a wire transfer. */
async function monthEnd(
  { subscriptionId, customerId }: Subscribed,
  by: {
    readonly invoicing: InvoicingService;
    readonly finalising: FinalisingService;
    readonly settlements: SettlementsService;
  },
): Promise<void> {
  const { accountId, db } = stable.rows;
  const scope = { accountId, principalId: 'finance' };
  const { closesAt, billedTo } = await db.subscription.findUniqueOrThrow({
    where: { id: subscriptionId },
  });
  const november = new Date('2026-11-01T00:00:00Z');
  if (closesAt && billedTo <= november) {
    await by.invoicing.close(scope, subscriptionId, { from: billedTo, to: closesAt });
  }
  const { id } = await db.invoice.findFirstOrThrow({ where: { customerId } });
  await by.finalising.finalise(scope, id);
  const payment = { amount: decimal('2.50'), method: 'bank-transfer', reference: 'SEPA' } as const;
  await by.settlements.recordPayment(scope, id, payment);
}

describe('a process that dies between any two statements of closing, finalising and taking a payment', () => {
  it.each(['before', 'after'] as const)(
    'leaves one invoice per period, no number twice and none missing, and each act posted once: dies %s it',
    { timeout: 120_000 },
    async (moment: Moment) => {
      const { rows, api, use, aSubscriber } = stable;
      const steady = {
        invoicing: api.app.get(InvoicingService),
        finalising: api.app.get(FinalisingService),
        settlements: api.app.get(SettlementsService),
      };
      let crashes = 0;
      for (let statement = FIRST, hasCrashed = true; hasCrashed; statement += EVERY) {
        const of = await aSubscriber();
        await use(of, { hour: '2026-11-15T10:00:00Z', quantity: '1000000' });
        const topUp = { kind: 'paid', name: 'Top-up', amount: '1.00', reference: 'SEPA' };
        await api.call('POST', `/v1/customers/${of.customerId}/credit-grants`, { body: topUp });
        wire.crashAt(statement, moment);
        await monthEnd(of, { invoicing, finalising, settlements }).catch(() => undefined);
        hasCrashed = await wire.disarm();
        if (hasCrashed) crashes += 1;
        // Whoever comes next finds it as it is, and goes on.
        await monthEnd(of, steady);
        const { body } = await api.call('GET', `/v1/invoices?customerId=${of.customerId}`);
        expect(body.items).toMatchObject([{ status: 'paid', total: { amount: '2.50' } }]);
        const credit = await api.call('GET', `/v1/credit-entries?customerId=${of.customerId}`);
        expect(credit.body.items).toMatchObject([
          { kind: 'applied', amount: { amount: '-1.00' } },
          { kind: 'granted' },
        ]);
      }
      expect(crashes).toBeGreaterThan(60 / EVERY);

      const invoices = await rows.db.invoice.findMany();
      const numbers = invoices
        .map(({ number }) => Number(number?.slice(3)))
        .toSorted((a, b) => a - b);
      expect(numbers).toEqual(numbers.map((_, index) => index + 1));
      const acts = await rows.db.$queryRaw`
        SELECT act, count(*)::int AS n, sum(legs)::int AS legs, sum(receivable)::int AS receivable
        FROM ledger_transaction t JOIN LATERAL (
          SELECT count(*) AS legs, sum(amount_minor) FILTER (WHERE ledger_account = 'receivable') AS receivable
          FROM posting p WHERE p.transaction_id = t.id) p ON true
        GROUP BY act ORDER BY act`;
      const n = invoices.length;
      expect(acts).toEqual([
        { act: 'finalise-invoice', n, legs: 3 * n, receivable: 250 * n },
        { act: 'grant-credit', n, legs: 2 * n, receivable: null },
        { act: 'record-payment', n, legs: 2 * n, receivable: -250 * n },
      ]);
      const audited = await rows.db.auditEvent.groupBy({
        by: ['action'],
        where: { action: { in: ['finalise-invoice', 'mark-invoice-paid'] } },
        _count: true,
        orderBy: { action: 'asc' },
      });
      expect(audited).toMatchObject([{ _count: n }, { _count: n }]);
      console.log(`dies ${moment} every ${EVERY}. statement from ${FIRST} on: ${crashes} crashes`);
    },
  );
});
