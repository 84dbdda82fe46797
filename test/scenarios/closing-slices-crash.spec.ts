import { randomInt } from 'node:crypto';
import { FinalisingService, InvoicingService } from '@io/billing';
import { beforeAll, describe, expect, it } from 'vitest';
import type { CrashingWire, Moment } from '../support/crashing-wire.js';
import { startInvoicing, type Invoicing } from '../support/invoicing.js';
import { startMortalApi } from '../support/mortal-api.js';

/** All of them by hand: `CRASH_EVERY=1 npx vitest run test/scenarios/closing-slices-crash.spec.ts`. */
const EVERY = Number(process.env['CRASH_EVERY'] ?? 8);
/** With which statement it begins; over many runs each is met. */
const FIRST = 1 + randomInt(EVERY);
const SUBSCRIBERS = 3;

/** What the worker's jobs of billing call. */
interface Worker {
  readonly invoicing: InvoicingService;
  readonly finalising: FinalisingService;
}

let stable: Invoicing;
let wire: CrashingWire;
let dying: Worker;

beforeAll(async () => {
  stable = await startInvoicing();
  const started = await startMortalApi(stable.api.databaseUrl);
  wire = started.wire;
  dying = {
    invoicing: started.app.get(InvoicingService),
    finalising: started.app.get(FinalisingService),
  };
});

/** A month's end as the worker lives it: what is due is closed, then made final. */
async function monthEnd({ invoicing, finalising }: Worker): Promise<void> {
  await invoicing.closeDue();
  await finalising.finaliseDue();
}

describe('a worker that dies between any two statements of closing and finalising slices', () => {
  it.each(['before', 'after'] as const)(
    'leaves one invoice per period, no number twice and none missing, each posted once: dies %s it',
    { timeout: 180_000 },
    async (moment: Moment) => {
      const { rows, api, use, aSubscriber, invoicesOf } = stable;
      const steady = {
        invoicing: api.app.get(InvoicingService),
        finalising: api.app.get(FinalisingService),
      };
      await rows.db.account.update({
        where: { id: rows.accountId },
        data: { collectionHours: 0 },
      });
      let crashes = 0;
      for (let statement = FIRST, hasCrashed = true; hasCrashed; statement += EVERY) {
        const all = [];
        for (let n = 0; n < SUBSCRIBERS; n += 1) {
          const of = await aSubscriber();
          await use(of, { hour: '2026-11-15T10:00:00Z', quantity: '1000000' });
          all.push(of);
        }
        wire.crashAt(statement, moment);
        await monthEnd(dying).catch(() => undefined);
        hasCrashed = await wire.disarm();
        if (hasCrashed) crashes += 1;
        // Whoever comes next finds it as it is, and goes on.
        await monthEnd(steady);
        for (const of of all)
          expect(await invoicesOf(of)).toMatchObject([
            { status: 'finalised', total: { amount: '3.50' } },
          ]);
      }
      expect(crashes).toBeGreaterThan(24 / EVERY);

      const invoices = await rows.db.invoice.findMany();
      const numbers = invoices
        .map(({ number }) => Number(number?.slice(3)))
        .toSorted((a, b) => a - b);
      expect(numbers).toEqual(numbers.map((_, index) => index + 1));
      const n = invoices.length;
      const posted = await rows.db.$queryRaw`
        SELECT count(DISTINCT t.id)::int AS n, sum(amount_minor)::int AS receivable
        FROM ledger_transaction t JOIN posting p ON p.transaction_id = t.id AND p.ledger_account = 'receivable'
        WHERE t.act = 'finalise-invoice'`;
      expect(posted).toEqual([{ n, receivable: 350 * n }]);
      const audited = await rows.db.auditEvent.count({ where: { action: 'finalise-invoice' } });
      expect(audited).toBe(n);
      console.log(`dies ${moment} every ${EVERY}. statement from ${FIRST} on: ${crashes} crashes`);
    },
  );
});
