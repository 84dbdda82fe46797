import { randomBytes } from 'node:crypto';
import { CURRENCY_EXPONENTS, prefixedId } from '@core/kernel';
import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { readCsv } from '../../apps/cli/src/exports/read-csv.js';
import { startInvoicing, type Invoicing } from '../support/invoicing.js';
import {
  issueDocuments,
  type LineToIssue,
  type PeriodToIssue,
} from '../support/issued-documents.js';
import { recognisedByMonth, type ServedLine } from '../support/recognised-revenue.js';

let on: Invoicing;
beforeAll(async () => {
  on = await startInvoicing();
});

/** An account of its own, so that sums are of one story. */
async function anAccount() {
  const accountId = await on.rows.otherAccount();
  const token = await on.rows.operatorToken(accountId);
  const table = async (name: string, query = '') => {
    const answer = await on.api.call('GET', `/v1/exports/${name}.csv?${query}`, { token });
    expect(answer.status).toBe(200);
    return readCsv(answer.body as unknown as string);
  };
  return { accountId, table };
}

const fee = (amount: bigint, more: Partial<LineToIssue> = {}): LineToIssue => ({
  amount,
  kind: 'fee',
  credits: [],
  ...more,
});
const aPeriod = (
  more: Partial<PeriodToIssue> & Pick<PeriodToIssue, 'invoices'>,
): PeriodToIssue => ({
  timezone: 'UTC',
  from: '2026-01-01',
  to: '2027-01-01',
  issuerId: null,
  ...more,
});

describe('GET /v1/exports/deferred-revenue.csv', () => {
  it('rolls a year that is paid in advance forward by its days, and takes back what is credited when it is', async () => {
    const { accountId, table } = await anAccount();
    const credits = [{ on: '2026-04-10', minor: 7_300n }];
    const invoice = {
      currency: 'USD',
      issuedOn: '2026-01-01',
      voidedOn: null,
      lines: [fee(36_500n, { credits })],
    };
    await issueDocuments(on.rows, accountId, [aPeriod({ invoices: [invoice] })]);
    const rows = await table('deferred-revenue', 'to=2026-06-01T00:00:00Z');
    expect(rows).toMatchObject([
      {
        month: '2026-01',
        opening: '0.00',
        invoiced: '365.00',
        recognised: '31.00',
        closing: '334.00',
      },
      { month: '2026-02', opening: '334.00', recognised: '28.00', closing: '306.00' },
      { month: '2026-03', opening: '306.00', recognised: '31.00', closing: '275.00' },
      // 120 days of 292.00 a year are 96.00; 90.00 was earned.
      {
        month: '2026-04',
        opening: '275.00',
        credited: '73.00',
        recognised: '6.00',
        closing: '196.00',
      },
      {
        month: '2026-05',
        opening: '196.00',
        recognised: '24.80',
        accrued: '0.00',
        unbilled: '0.00',
      },
    ]);
    const all = await table('deferred-revenue');
    expect(all.at(-1)).toMatchObject({ month: '2026-12', closing: '0.00', unbilled: '0.00' });
  });

  it('has what is invoiced after its month as unbilled until then, whole in its month in New York', async () => {
    const { accountId, table } = await anAccount();
    const invoice = { currency: 'USD', issuedOn: '2026-12-01', voidedOn: null, lines: [fee(350n)] };
    const november = { timezone: 'America/New_York', from: '2026-11-01', to: '2026-12-01' };
    await issueDocuments(on.rows, accountId, [aPeriod({ ...november, invoices: [invoice] })]);
    expect(await table('deferred-revenue')).toMatchObject([
      {
        month: '2026-11',
        invoiced: '0.00',
        recognised: '3.50',
        accrued: '3.50',
        closing: '0.00',
        unbilled: '3.50',
      },
      {
        month: '2026-12',
        invoiced: '3.50',
        recognised: '0.00',
        accrued: '-3.50',
        closing: '0.00',
        unbilled: '0.00',
      },
    ]);
    expect(await table('revenue')).toMatchObject([
      { month: '2026-11', billed: '0.00', recognised: '3.50' },
      { month: '2026-12', billed: '3.50', recognised: '0.00' },
    ]);
  });

  it('leaves a month that is over as it was when its invoice is made void and issued again later', async () => {
    const { accountId, table } = await anAccount();
    const lines = (amount: bigint) => [fee(amount)];
    const invoices = [
      { currency: 'USD', issuedOn: '2026-12-01', voidedOn: '2027-01-15', lines: lines(350n) },
      { currency: 'USD', issuedOn: '2027-01-15', voidedOn: null, lines: lines(300n) },
    ];
    const november = { from: '2026-11-01', to: '2026-12-01' };
    await issueDocuments(on.rows, accountId, [aPeriod({ ...november, invoices })]);
    expect(await table('deferred-revenue')).toMatchObject([
      { month: '2026-11', recognised: '3.50', unbilled: '3.50' },
      { month: '2026-12', invoiced: '3.50', recognised: '0.00', closing: '0.00' },
      {
        month: '2027-01',
        invoiced: '3.00',
        credited: '3.50',
        recognised: '-0.50',
        unbilled: '0.00',
      },
    ]);
  });

  const runs = Number(process.env['RECOGNITION_RUNS'] ?? 4);
  it(`is what counting day by day says, over random documents (${runs} runs)`, async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(periods, { minLength: 4, maxLength: 8 }), async (story) => {
        const { accountId, table } = await anAccount();
        const issuerId = prefixedId('iss', randomBytes);
        await on.rows.db.issuer.create({
          data: { id: issuerId, accountId, series: 'XY', name: 'Second' },
        });
        const named = story.map(({ isOther, ...one }) => ({
          ...one,
          issuerId: isOther ? issuerId : null,
        }));
        await issueDocuments(on.rows, accountId, named);
        const rows = await table('deferred-revenue');
        const revenue = await table('revenue');
        for (const issuer of ['', issuerId])
          for (const currency of ['USD', 'JPY', 'KWD']) {
            const lines = named
              .filter((one) => (one.issuerId ?? '') === issuer)
              .flatMap((one) => served(one, currency));
            const counted = recognisedByMonth(lines);
            const found = rows.filter(
              (row) => row['issuerId'] === issuer && row['currency'] === currency,
            );
            expect(found.map(sumsOf)).toEqual(counted);
          }
        for (const currency of ['USD', 'JPY', 'KWD']) {
          const of = (all: Record<string, string>[]) =>
            all.filter((row) => row['currency'] === currency);
          const sum = (all: Record<string, string>[], column: string) =>
            of(all).reduce((total, row) => total + minor(row[column], currency), 0n);
          const earned = await revenuePosted(accountId, currency);
          expect(sum(rows, 'invoiced') - sum(rows, 'credited')).toBe(earned);
          expect(sum(rows, 'recognised')).toBe(earned);
          expect(sum(revenue, 'billed')).toBe(earned);
          expect(sum(revenue, 'recognised')).toBe(earned);
        }
      }),
      { numRuns: runs, endOnFailure: true },
    );
  });
});

async function revenuePosted(accountId: string, currency: string): Promise<bigint> {
  const where = { accountId, currency, ledgerAccount: 'revenue' };
  const { _sum } = await on.rows.db.posting.aggregate({ where, _sum: { amountMinor: true } });
  return -(_sum.amountMinor ?? 0n);
}

/** Minor units; as many decimals as the currency has. */
function minor(amount: string | undefined, currency: string): bigint {
  const decimals = CURRENCY_EXPONENTS.get(currency) ?? 2;
  expect(amount?.split('.')[1]?.length ?? 0).toBe(decimals);
  return BigInt((amount ?? '').replace('.', ''));
}

function sumsOf(row: Record<string, string>) {
  const of = (column: string) => minor(row[column], row['currency'] ?? '');
  return {
    month: row['month'],
    opening: of('opening'),
    invoiced: of('invoiced'),
    credited: of('credited'),
    recognised: of('recognised'),
    accrued: of('accrued'),
    closing: of('closing'),
    unbilled: of('unbilled'),
  };
}

/** The lines of a period that are revenue in a currency. */
function served({ from, to, invoices }: PeriodToIssue, currency: string): ServedLine[] {
  const knownOn = invoices[0]?.issuedOn ?? '';
  return invoices
    .filter((invoice) => invoice.currency === currency)
    .flatMap(({ issuedOn, voidedOn, lines }) =>
      lines
        .filter(({ kind }) => kind !== 'paid-ahead')
        .map(({ amount, credits, spans = [[from, to] as const] }) => ({
          amount,
          issuedOn,
          voidedOn,
          knownOn,
          credits,
          spans,
        })),
    );
}

const DAY_MS = 86_400_000;
const day = (first: string, days: number) =>
  new Date(Date.parse(first) + days * DAY_MS).toISOString().slice(0, 10);

const amounts = fc.integer({ min: -900, max: 9_000 }).filter((amount) => amount !== 0);
const anyLine = fc.record({
  amount: amounts,
  kind: fc.constantFrom('fee', 'fee', 'late-usage', 'paid-ahead'),
  /** Where spans begin and end within the period, in parts of it. */
  cuts: fc.option(fc.tuple(fc.nat(30), fc.nat(30), fc.nat(30))),
  credits: fc.array(fc.record({ after: fc.nat(200), percent: fc.integer({ min: 1, max: 50 }) }), {
    maxLength: 2,
  }),
});
/** A period of any length, invoiced before or after it, perhaps made void and issued again, perhaps credited in part. */
const periods = fc
  .record({
    timezone: fc.constantFrom('UTC', 'America/New_York', 'Asia/Kathmandu', 'Pacific/Apia'),
    currency: fc.constantFrom('USD', 'USD', 'JPY', 'KWD'),
    begin: fc.nat(400),
    days: fc.constantFrom(1, 17, 28, 31, 92, 365),
    issuedAfter: fc.integer({ min: -40, max: 400 }),
    voids: fc.array(fc.nat(60), { maxLength: 2 }),
    isLastVoid: fc.boolean(),
    isOther: fc.boolean(),
    lines: fc.array(anyLine, { minLength: 1, maxLength: 3 }),
  })
  .map(({ timezone, currency, begin, days, issuedAfter, voids, isLastVoid, isOther, lines }) => {
    const from = day('2026-01-01', begin);
    const to = day(from, days);
    let issuedOn = day(from, issuedAfter);
    const fates = isLastVoid ? voids : [...voids, null];
    const invoices = (fates.length > 0 ? fates : [null]).map((voidedAfter, revision) => {
      const invoice = {
        currency,
        issuedOn,
        voidedOn: voidedAfter === null ? null : day(issuedOn, voidedAfter),
        lines: lines.map((line) =>
          toLine(line, { from, days, issuedOn, revision, isVoid: voidedAfter !== null }),
        ),
      };
      issuedOn = invoice.voidedOn ?? issuedOn;
      return invoice;
    });
    return { timezone, from, to, isOther, invoices };
  });

function toLine(
  { amount, kind, cuts, credits }: typeof anyLine extends fc.Arbitrary<infer T> ? T : never,
  of: { from: string; days: number; issuedOn: string; revision: number; isVoid: boolean },
): LineToIssue {
  const whole =
    kind === 'paid-ahead' ? -Math.abs(amount) : amount + of.revision * Math.sign(amount);
  const [a = 0, b = 0, c = 0] = cuts ?? [];
  const later = (days: number) => day(of.from, days);
  const held: [string, string][] = [
    [later(a), later(a + b + 1)],
    [later(a + b + 1 + c), later(a + b + c + 2)],
  ];
  const [before] = [day(of.from, -of.days - a)];
  const spans =
    kind === 'late-usage'
      ? [[before, of.from] as [string, string]]
      : cuts && kind === 'fee'
        ? held
        : undefined;
  return {
    amount: BigInt(whole),
    kind,
    ...(spans && { spans }),
    credits:
      of.isVoid || kind === 'paid-ahead'
        ? []
        : credits.flatMap(({ after, percent }) => {
            const minor = BigInt(Math.trunc((whole * percent) / 100));
            return minor === 0n ? [] : [{ on: day(of.issuedOn, after), minor }];
          }),
  };
}
