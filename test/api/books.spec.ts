import { CreditsService } from '@io/billing';
import fc from 'fast-check';
import { beforeAll, expect, it } from 'vitest';
import { readCsv } from '../../apps/cli/src/exports/read-csv.js';
import { startInvoicing, type Drafted, type Invoicing } from '../support/invoicing.js';

let on: Invoicing;
beforeAll(async () => {
  on = await startInvoicing();
});

type Row = Readonly<Record<string, string>>;

/** Hundredths, of dollars. */
const cents = (amount: string | undefined) => BigInt((amount ?? '').replace('.', ''));
const dollars = (minor: number) => (minor / 100).toFixed(2);
const sum = (rows: readonly Row[], column: string) =>
  rows.reduce((total, row) => total + cents(row[column]), 0n);

/** What finance thinks of an invoice: three numbers and a status. */
interface Claim {
  readonly total: bigint;
  paid: bigint;
  credited: bigint;
  status: 'open' | 'void' | 'written-off';
}

const dueOf = ({ total, paid, credited, status }: Claim) => {
  const rest = total - paid - credited;
  return status === 'open' && rest > 0n ? rest : 0n;
};

type Act =
  | { readonly act: 'pay' | 'pay-by-credit'; readonly invoice: number; readonly cents: number }
  | {
      readonly act: 'credit-note';
      readonly invoice: number;
      readonly cents: number;
      readonly toCash: boolean;
    }
  | { readonly act: 'void' | 'write-off'; readonly invoice: number }
  | { readonly act: 'top-up' | 'gift'; readonly cents: number; readonly expires: boolean };

const invoice = fc.nat(2);
const amount = fc.integer({ min: 1, max: 200 });
const acts: fc.Arbitrary<Act> = fc.oneof(
  fc.record({
    act: fc.constantFrom('pay' as const, 'pay-by-credit' as const),
    invoice,
    cents: amount,
  }),
  fc.record({
    act: fc.constant('credit-note' as const),
    invoice,
    cents: amount,
    toCash: fc.boolean(),
  }),
  fc.record({ act: fc.constantFrom('void' as const, 'write-off' as const), invoice }),
  fc.record({
    act: fc.constantFrom('top-up' as const, 'gift' as const),
    cents: amount,
    expires: fc.boolean(),
  }),
);

/** A customer with three invoices over a million calls each, which top-ups before may pay in part, and what is known of them. */
async function aStory(before: readonly Act[]) {
  const of = await on.aSubscriber();
  const books = { owed: 0n, claims: [] as Claim[], paths: [] as string[] };
  for (const one of before) await topUp(of.customerId, one);
  const invoices: Drafted[] = [];
  for (let n = 0; n < 3; n += 1) {
    // The plan is another for each, so that one customer has three subscriptions.
    const usagePlanId = n === 0 ? of.usagePlanId : await on.rows.usagePlan();
    const terms = {
      customerId: of.customerId,
      usagePlanId,
      rateCardId: 'amazon-api-gateway-us-east-1',
      startsAt: '2026-11-01T00:00:00Z',
    };
    if (n > 0) await on.api.call('POST', '/v1/subscriptions', { body: terms });
    await on.use({ ...of, usagePlanId }, { hour: '2026-11-15T10:00:00Z', quantity: '1000000' });
  }
  await on.invoicing.closeDue();
  for (const { id } of (await on.invoicesOf(of)) as unknown as { id: string }[]) {
    const path = `/v1/invoices/${id}`;
    expect((await on.post(`${path}/finalise`)).status).toBe(200);
    const { body } = await on.api.call('GET', path);
    books.claims.push({
      total: BigInt(body['total'].minor),
      paid: 0n,
      credited: 0n,
      status: 'open',
    });
    books.paths.push(path);
    invoices.push({ ...of, id, path });
  }
  expect(invoices).toHaveLength(3);
  return { of, books, invoices };
}

let references = 0;
async function topUp(customerId: string, act: Act): Promise<void> {
  if (act.act !== 'top-up' && act.act !== 'gift') return;
  const body = {
    kind: act.act === 'gift' ? 'promotional' : 'paid',
    name: act.act,
    amount: dollars(act.cents),
    reference: `wire ${(references += 1)}`,
    ...(act.expires && { expiresAt: '2026-12-20T00:00:00Z' }),
  };
  const { status } = await on.api.call('POST', `/v1/customers/${customerId}/credit-grants`, {
    body,
  });
  expect(status).toBe(201);
}

/** Does an act, and notes in the books what finance would when it was not refused. */
async function play({ of, books }: Awaited<ReturnType<typeof aStory>>, act: Act): Promise<void> {
  if (!('invoice' in act)) return topUp(of.customerId, act);
  const [claim, path] = [books.claims[act.invoice], books.paths[act.invoice]];
  if (!claim || path === undefined) return;
  switch (act.act) {
    case 'pay':
    case 'pay-by-credit': {
      const method = act.act === 'pay' ? 'card' : 'customer-credit';
      const body = {
        amount: dollars(act.cents),
        method,
        reference: `pay ${(references += 1)}`,
        paidAt: '2026-12-01T00:05:00Z',
      };
      const { status } = await on.api.call('POST', `${path}/payments`, { body });
      if (status !== 201) return;
      claim.paid += BigInt(act.cents);
      if (method === 'customer-credit') books.owed -= BigInt(act.cents);
      return;
    }
    case 'credit-note': {
      const { body: before } = await on.api.call('GET', path);
      const lines = [{ lineId: before['lines'][0].id, amount: dollars(act.cents) }];
      const body = { reason: 'x', lines, restTo: act.toCash ? 'cash' : 'customer-credit' };
      const { status } = await on.api.call('POST', `${path}/credit-notes`, { body });
      if (status !== 201) return;
      const { body: after } = await on.api.call('GET', path);
      const minor = BigInt(after['credited'].minor) - claim.credited;
      const due = claim.total - claim.paid - claim.credited;
      const rest = minor - (due > 0n ? (due < minor ? due : minor) : 0n);
      if (!act.toCash) books.owed += rest;
      claim.credited += minor;
      return;
    }
    case 'void':
    case 'write-off': {
      const { status } = await on.post(
        `${path}/${act.act === 'void' ? 'void' : 'mark-uncollectible'}`,
      );
      if (status === 200) claim.status = act.act === 'void' ? 'void' : 'written-off';
    }
  }
}

const runs = Number(process.env['BOOKS_RUNS'] ?? 2);
it(`keeps the books of random acts: journal, ageing, liability and reconciliation agree (${runs} runs)`, async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(acts, { maxLength: 3 }),
      fc.array(acts, { minLength: 8, maxLength: 14 }),
      async (before, then) => {
        const story = await aStory(before);
        const { customerId } = story.of;
        for (const act of then) await play(story, act);
        await on.rows.moveClockTo('2026-12-21T00:00:00Z');
        await on.api.app.get(CreditsService).expireDue();
        const own = async (name: string) => {
          const { body, status } = await on.api.call('GET', `/v1/exports/${name}.csv`);
          expect(status).toBe(200);
          return readCsv(body as unknown as string).filter(
            (row) => row['customerId'] === customerId,
          );
        };
        const journal = await own('journal');
        const balance = (account: string) => {
          const of = journal.filter((row) => row['ledgerAccount'] === account);
          return sum(of, 'debit') - sum(of, 'credit');
        };
        expect(sum(journal, 'debit')).toBe(sum(journal, 'credit'));
        const due = story.books.claims.reduce((all, claim) => all + dueOf(claim), 0n);
        expect(balance('receivable')).toBe(due);
        expect(sum(await own('receivables-ageing'), 'total')).toBe(due);
        expect(-balance('customer-credit')).toBe(story.books.owed);
        expect(sum(await own('customer-credit'), 'closing')).toBe(story.books.owed);
        const where = { accountId: on.rows.accountId, customerId, kind: 'paid' };
        const { _sum } = await on.rows.db.creditGrant.aggregate({
          where,
          _sum: { leftMinor: true },
        });
        const left = _sum.leftMinor ?? 0n;
        expect(-balance('prepaid-credit')).toBe(left);
        expect(sum(await own('credits-liability'), 'closing')).toBe(left);
        const rows = await own('reconciliation');
        expect(sum(rows, 'open')).toBe(due);
        expect(rows.filter((row) => row['reasons']?.includes('unexplained'))).toEqual([]);
        const standing = story.books.claims.filter(({ status }) => status !== 'void');
        expect(sum(rows, 'invoicedAmount')).toBe(
          standing.reduce((all, { total }) => all + total, 0n),
        );
        await on.rows.moveClockTo('2026-12-01T00:10:00Z');
      },
    ),
    { numRuns: runs, endOnFailure: true },
  );
});
