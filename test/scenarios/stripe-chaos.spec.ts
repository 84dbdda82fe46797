import { randomInt } from 'node:crypto';
import { StripeExchangeService } from '@io/billing';
import { beforeAll, describe, expect, it } from 'vitest';
import type { CrashingWire, Moment } from '../support/crashing-wire.js';
import { startMortalApi } from '../support/mortal-api.js';
import {
  startCollecting,
  type AtStripe,
  type Collecting,
} from '../support/stripe/stripe-accounts.js';
import type { Fault } from '../support/stripe/stripe-stand-in.js';

/** All of them by hand: `CRASH_EVERY=1 npx vitest run test/scenarios/stripe-chaos.spec.ts`. */
const EVERY = Number(process.env['CRASH_EVERY'] ?? 11);
/** With which statement it begins; over many runs each is met. */
const FIRST = 1 + randomInt(EVERY);
const INVOICES = Number(process.env['CHAOS_INVOICES'] ?? 30);
const KILLS = Number(process.env['CHAOS_KILLS'] ?? 40);
const FAULTS: Fault[] = ['lock-timeout', 'error-before', 'error-after', 'drop-after', 'proxy'];
const ONE_LANE = 1;

let at: Collecting;
let wire: CrashingWire;
/** A worker that can die at any statement. */
let mortal: StripeExchangeService;

beforeAll(async () => {
  at = await startCollecting();
  const started = await startMortalApi(at.api.databaseUrl);
  wire = started.wire;
  mortal = started.app.get(StripeExchangeService);
});

/** What a dead worker had is free at once, and what failed is due. */
const passTime = () => at.rows.db.$executeRaw`
  UPDATE exchange SET next_attempt_at = now(), sending_until = CASE WHEN status = 'sending' THEN now() END
  WHERE status IN ('sending', 'failed')`;

async function finish(): Promise<void> {
  for (let round = 0; round < 100; round += 1) {
    await passTime();
    await at.exchange();
    const open = await at.rows.db.exchange.count({
      where: { status: { in: ['pending', 'sending', 'failed'] } },
    });
    if (open === 0) return;
  }
}

/** One invoice at Stripe for each here, with equal totals, paid once, in the ledger once, and nobody has to look. */
async function expectWhole(invoices: readonly AtStripe[]): Promise<void> {
  for (const invoice of invoices) {
    expect(at.remoteOf(invoice)).toMatchObject({ status: 'paid', total: 350, amount_paid: 350 });
  }
  const ids = invoices.map(({ id }) => id);
  const booked = await at.rows.db.$queryRaw`
    SELECT count(*)::int AS payments, count(DISTINCT p.invoice_id)::int AS invoices, sum(p.amount_minor)::int AS minor,
      (SELECT count(*)::int FROM ledger_transaction t WHERE t.act = 'record-payment' AND t.invoice_id = ANY(${ids})) AS acts,
      (SELECT count(*)::int FROM invoice i WHERE i.status = 'paid' AND i.id = ANY(${ids})) AS paid
    FROM payment p WHERE p.invoice_id = ANY(${ids})`;
  const n = ids.length;
  expect(booked).toEqual([{ payments: n, invoices: n, minor: 350 * n, acts: n, paid: n }]);
  expect(await at.rows.db.exchange.findMany({ where: { status: 'dead' } })).toEqual([]);
}

describe('a worker that dies between any two statements of a push and its collection', () => {
  it.each(['before', 'after'] as const)(
    'leaves one invoice at Stripe, paid once, and booked once: dies %s it',
    { timeout: 180_000 },
    async (moment: Moment) => {
      const invoices: AtStripe[] = [];
      let crashes = 0;
      for (let statement = FIRST, hasCrashed = true; hasCrashed; statement += EVERY) {
        invoices.push(await at.anInvoice());
        wire.crashAt(statement, moment);
        await mortal.exchangeDue(ONE_LANE).catch(() => undefined);
        hasCrashed = await wire.disarm();
        if (hasCrashed) crashes += 1;
        await finish();
      }
      expect(crashes).toBeGreaterThan(40 / EVERY);
      await expectWhole(invoices);
      console.log(`dies ${moment} every ${EVERY}. statement from ${FIRST} on: ${crashes} crashes`);
    },
  );
});

describe('while a fifth of the calls go wrong and workers are killed', () => {
  it(
    'every invoice is at Stripe once, and every payment in the ledger once',
    { timeout: 300_000 },
    async () => {
      const invoices: AtStripe[] = [];
      for (let n = 0; n < INVOICES; n += 1) invoices.push(await at.anInvoice());
      at.stripe.misbehave(() =>
        randomInt(5) === 0 ? (FAULTS[randomInt(FAULTS.length)] ?? null) : null,
      );
      const told = new Set<string>();
      /** Some events are lost, the others come twice and in any order. */
      const tellSome = async () => {
        const fresh = at.stripe.books.events.filter(({ id }) => !told.has(id));
        for (const event of fresh) told.add(event.id);
        const sent = fresh.filter(() => randomInt(5) > 0).flatMap((event) => [event, event]);
        for (const event of sent.toSorted(() => randomInt(3) - 1)) await at.tell(event);
      };
      for (let kill = 0; kill < KILLS; kill += 1) {
        wire.crashAt(1 + randomInt(60), randomInt(2) === 0 ? 'before' : 'after');
        await mortal.exchangeDue(4).catch(() => undefined);
        await wire.disarm();
        await tellSome();
        await passTime();
      }
      at.stripe.misbehave(() => null);
      await finish();
      await expectWhole(invoices);
      const calls = at.stripe.calls.length;
      expect(calls).toBeGreaterThan(INVOICES * 5);
      console.log(`${INVOICES} invoices, ${KILLS} kills, ${calls} calls, ${told.size} events`);
    },
  );
});
