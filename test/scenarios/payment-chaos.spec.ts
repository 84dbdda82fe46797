import { randomInt } from 'node:crypto';
import { beforeAll, describe, expect, it } from 'vitest';
import { PaymentChaos, type Buyer } from '../support/payment-chaos.js';
import { randomNumbers } from '../support/random.js';
import type { StripeObject } from '../support/stripe/stripe-books.js';

/**
 * More of them by hand: `CHAOS_CUSTOMERS=1000 CHAOS_DAYS=30 CHAOS_KILLS=100 npx vitest run test/scenarios/payment-chaos.spec.ts`.
 */
const CUSTOMERS = Number(process.env['CHAOS_CUSTOMERS'] ?? 12);
const DAYS = Number(process.env['CHAOS_DAYS'] ?? 1);
const KILLS = Number(process.env['CHAOS_KILLS'] ?? 2);
/** The same seed makes the same customers, usage, faults and deaths, as far as calls come in the same order. */
const SEED = Number(process.env['CHAOS_SEED'] ?? randomInt(2 ** 31));
const HOUR_S = 3_600;
const WINDOW_HOURS = 24;
const WALL_HOURS = 6;
const HUNDRED = 100;

interface InvoiceRow {
  readonly id: string;
  readonly number: string;
  readonly status: string;
  readonly total: number;
  readonly payments: number;
  readonly booked: number;
  readonly acts: number;
}

interface RecordRow {
  readonly agreementId: string;
  readonly dimension: string;
  readonly hour: Date;
  readonly quantity: number;
  readonly state: string;
  readonly mayBeTaken: boolean;
}

let chaos: PaymentChaos;

/** Every invoice that is not a draft, with what was booked of it. */
const invoices = () => chaos.db.$queryRaw<InvoiceRow[]>`
  SELECT i.id, i.number, i.status, i.total_minor::int AS total,
    (SELECT count(*)::int FROM payment p WHERE p.invoice_id = i.id) AS payments,
    (SELECT coalesce(sum(amount_minor), 0)::int FROM payment p WHERE p.invoice_id = i.id) AS booked,
    (SELECT count(*)::int FROM ledger_transaction t WHERE t.act = 'record-payment' AND t.invoice_id = i.id) AS acts
  FROM invoice i WHERE i.status <> 'draft'`;

const records = () => chaos.db.$queryRaw<RecordRow[]>`
  SELECT agreement_id AS "agreementId", dimension, hour, quantity, state, may_be_taken AS "mayBeTaken"
  FROM marketplace_record`;

const sum = (numbers: readonly number[]) => numbers.reduce((total, one) => total + one, 0);

describe(`${CUSTOMERS} customers and ${DAYS} days while a fifth of all calls goes wrong and the worker is killed ${KILLS} times (CHAOS_SEED=${SEED})`, () => {
  beforeAll(
    async () => {
      const size = { customers: CUSTOMERS, days: DAYS, kills: KILLS };
      chaos = await PaymentChaos.start(size, randomNumbers(SEED));
      await chaos.play();
      await chaos.end();
    },
    120_000 + CUSTOMERS * DAYS * 60 + KILLS * 20_000,
  );

  it('each invoice is at Stripe once with an equal total, and each payment in the ledger once', async () => {
    const rows = await invoices();
    const remotes = chaos.stripe.books.all('invoice');
    const byInvoice = new Map<string, StripeObject[]>();
    for (const remote of remotes) {
      const id = String(remote['metadata'].tollgate_invoice);
      byInvoice.set(id, [...(byInvoice.get(id) ?? []), remote]);
    }
    const wrong = rows.flatMap((row) => {
      const found = byInvoice.get(row.id) ?? [];
      const [remote] = found;
      const taken = chaos.stripe.books.all(
        'invoice_payment',
        (one) => one['invoice'] === remote?.id,
      );
      const here = { total: row.total, number: row.number, status: row.status };
      const there = {
        total: remote?.['total'],
        number: remote?.['number'],
        status: remote?.['status'],
      };
      const money = sum(taken.map((one) => Number(one['amount_paid'])));
      const isEqual =
        found.length === 1 &&
        JSON.stringify(here) === JSON.stringify(there) &&
        row.status === 'paid' &&
        row.booked === money &&
        money === row.total &&
        row.payments === taken.length &&
        row.acts === taken.length;
      return isEqual ? [] : [{ row, there, copies: found.length, money, times: taken.length }];
    });
    expect(wrong).toEqual([]);
    expect(remotes.length).toBe(rows.length);
    expect(rows.length).toBeGreaterThanOrEqual(CUSTOMERS);
    const dead = await chaos.db.exchange.findMany({ where: { status: 'dead' } });
    expect(dead).toEqual([]);
  });

  it('accepted, carried and dead records are what was metered, of each agreement and dimension', async () => {
    const rows = await records();
    const buyers = chaos.payers.flatMap(({ buyer }) => (buyer ? [buyer] : []));
    const balances = await chaos.db.marketplaceBalance.findMany();
    const found = buyers.flatMap((buyer: Buyer) =>
      ['calls', 'hundreds'].map((dimension) => {
        const isOwn = (one: { agreementId: string; dimension: string }) =>
          one.agreementId === buyer.agreementId && one.dimension === dimension;
        const own = rows.filter(isOwn);
        const balance = balances.find(isOwn);
        const inRecords = sum(own.map(({ quantity }) => quantity));
        const unit = dimension === 'calls' ? 1 : HUNDRED;
        return {
          of: `${buyer.agreementId} ${dimension}`,
          metered: Number(balance?.metered ?? 0),
          inRecords,
          carried: buyer.used - inRecords * unit,
          states: [...new Set(own.map(({ state }) => state))].toSorted(),
        };
      }),
    );
    const wrong = found.filter(({ of, metered, carried, states }) => {
      const [agreementId, dimension] = of.split(' ');
      const { used = 0 } = buyers.find((one) => one.agreementId === agreementId) ?? {};
      const unit = dimension === 'calls' ? 1 : HUNDRED;
      const isEnded = states.every((state) => state === 'accepted' || state === 'dead');
      return metered !== used || carried < 0 || carried >= unit || !isEnded;
    });
    expect(wrong).toEqual([]);
    expect(sum(found.map(({ inRecords }) => inRecords))).toBeGreaterThan(0);
  });

  it('AWS has each accepted record with its quantity, and nothing that the ledger does not have', async () => {
    const rows = await records();
    const keyOf = (agreementId: string, dimension: string, hourMs: number) =>
      `${agreementId} ${dimension} ${hourMs}`;
    const agreements = new Map(
      chaos.payers.flatMap(({ buyer }) =>
        buyer ? [[JSON.stringify(Object.values(buyer.wire)), buyer.agreementId] as const] : [],
      ),
    );
    const taken = new Map(
      [...chaos.aws.taken.values()].map((one) => {
        const ids = [one.CustomerAWSAccountId, one.LicenseArn, one.CustomerIdentifier];
        const known = JSON.stringify(ids.filter((id) => id !== undefined));
        const agreementId = agreements.get(known) ?? known;
        return [keyOf(agreementId, one.Dimension, one.Timestamp * 1_000), one.Quantity ?? 0];
      }),
    );
    const wrong = rows.filter(({ agreementId, dimension, hour, quantity, state, mayBeTaken }) => {
      const key = keyOf(agreementId, dimension, hour.getTime());
      const there = taken.get(key);
      taken.delete(key);
      if (state === 'accepted') return there !== quantity;
      return there !== undefined && (there !== quantity || !mayBeTaken);
    });
    expect(wrong).toEqual([]);
    expect([...taken]).toEqual([]);
  });

  it('no hour is sent twice with another quantity, and none outside its window', () => {
    const texts = new Map<string, Set<string>>();
    for (const { identity, text } of chaos.aws.seen)
      texts.set(identity, (texts.get(identity) ?? new Set()).add(text));
    expect([...texts.values()].filter((own) => own.size > 1)).toEqual([]);
    const late = chaos.aws.seen.filter(({ text, at }) => {
      const hour = new Date(Number(JSON.parse(text).Timestamp) * 1_000);
      const wall = Date.UTC(hour.getUTCFullYear(), hour.getUTCMonth() + 1, 1, WALL_HOURS);
      const window = hour.getTime() + WINDOW_HOURS * HOUR_S * 1_000;
      return at < hour || at.getTime() >= Math.min(wall, window);
    });
    expect(late).toEqual([]);
  });

  it('and it was as bad as it says', async () => {
    const { stripe, aws, worker, faults, lost, told } = chaos;
    const calls = stripe.calls.length + aws.calls.length;
    const rows = await records();
    const states = new Map<string, number>();
    for (const { state } of rows) states.set(state, (states.get(state) ?? 0) + 1);
    expect(worker.kills).toBeGreaterThanOrEqual(KILLS);
    expect(faults / calls).toBeGreaterThan(0.05);
    expect(lost).toBeGreaterThan(0);
    console.log(
      `CHAOS_SEED=${SEED}: ${CUSTOMERS} customers, ${DAYS} days, ${worker.kills} kills, ${faults} faults in ${calls} calls ` +
        `(${stripe.calls.length} of Stripe), ${lost} of ${told.size} events lost; ${(await invoices()).length} invoices, ` +
        `${stripe.books.all('invoice_payment').length} payments; ${aws.seen.length} records sent for ${rows.length}: ` +
        [...states].map(([state, count]) => `${count} ${state}`).join(', '),
    );
  });
});
