import { fork } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import { join } from 'node:path';
import { FinalisingService, InvoicingService } from '@io/billing';
import { beforeAll, describe, expect, it } from 'vitest';
import { build, entryOf, isBuilt } from '../../scripts/build.mjs';
import { startInvoicing, type Invoicing, type Subscribed } from '../support/invoicing.js';

/** All of them by hand: `KILLS=200 KILL_EVERY=1 npx vitest run --project scenario test/scenarios/closing-kill.spec.ts`. */
const KILLS = Number(process.env['KILLS'] ?? 4);
const EVERY = Number(process.env['KILL_EVERY'] ?? 23);
/** With which statement it begins; over many runs each is met. */
const FIRST = 1 + randomInt(EVERY);
/** Half of them have an issuer without a window: their invoices are final where they are closed, those of the others a day later. */
const SUBSCRIBERS = 6;
const WORKER = new URL('../support/closing-worker.mjs', import.meta.url);

let stable: Invoicing;
let all: Subscribed[];

beforeAll(async () => {
  if (!isBuilt()) await build();
  stable = await startInvoicing();
  const own = { series: 'DE', name: 'Petstore', collectionHours: 0, requiresApproval: false };
  const { body: issuer } = await stable.api.call('POST', '/v1/issuers', { body: own });
  all = [];
  for (let n = 0; n < SUBSCRIBERS; n += 1)
    all.push(await stable.aSubscriber(n % 2 === 0 ? { issuerId: issuer.id } : {}));
});

/** How a worker ended that was to kill itself at a statement: by that, or because nothing was left to do. */
async function workUntil(
  statement: number,
  moment: 'before' | 'sent',
): Promise<NodeJS.Signals | null> {
  const libs = join(entryOf('worker'), '../../../../libs');
  const child = fork(WORKER, [libs, String(statement), moment], {
    env: {
      PATH: process.env['PATH'] ?? '',
      DATABASE_URL: stable.api.databaseUrl,
      TOLLGATE_SECRET: 'k1:MDEyMzQ1Njc4OWFiY2RlZmdoaWprbG1ub3BxcnN0dXY=',
      TOLLGATE_LOG_LEVEL: 'error',
    },
    execArgv: [],
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
  });
  let said = '';
  for (const stream of [child.stdout, child.stderr])
    stream?.setEncoding('utf8').on('data', (text: string) => (said += text));
  const [code, signal] = (await once(child, 'close')) as [number | null, NodeJS.Signals | null];
  if (signal !== 'SIGKILL' && code !== 0)
    throw new Error(`The worker ended with ${code}:\n${said}`);
  return signal;
}

const month = (n: number) => new Date(Date.UTC(2026, 10 + n, 1)).toISOString();
const inMonth = (n: number) => month(n).replace('-01T00', '-15T10');

describe(`a worker that is killed with SIGKILL at every ${EVERY}. statement of a month's end, ${KILLS} times`, () => {
  it(
    'leaves one invoice per period, no number twice and none missing, and charges all usage once',
    { timeout: 60_000 + KILLS * 10_000 },
    async () => {
      const { rows, api, use } = stable;
      const { db } = rows;
      // The worker that is started after a kill.
      const steady = async () => {
        await api.app.get(InvoicingService).closeDue();
        await api.app.get(FinalisingService).finaliseDue();
      };
      let kills = 0;
      let months = 0;
      let statement = FIRST;
      let rounds = 0;
      for (; kills < KILLS; months += 1) {
        await Promise.all(
          all.map(async (of) => {
            await use(of, { hour: inMonth(months), quantity: '1000000' });
            // Late: the invoice of that month is final.
            if (months > 1)
              await use(of, {
                hour: inMonth(months - 2).replace('T10', 'T11'),
                quantity: '1000000',
              });
          }),
        );
        const body = { kind: 'paid', name: 'Top-up', amount: '1.00', reference: `${months}` };
        const topUp = `/v1/customers/${all[0]?.customerId}/credit-grants`;
        expect((await api.call('POST', topUp, { body })).status).toBe(201);
        await rows.moveClockTo(month(months + 1).replace('T00:00', 'T00:10'));
        const signal = await workUntil(statement, rounds % 2 === 0 ? 'sent' : 'before');
        if (signal) kills += 1;
        else rounds += 1;
        statement = signal ? statement + EVERY : 1 + randomInt(EVERY);
        await steady();
      }
      await rows.moveClockTo(month(months).replace('-01T00', '-03T00'));
      await steady();

      const n = SUBSCRIBERS * months;
      const [periods] = await db.$queryRaw<object[]>`
        SELECT count(*)::int AS invoices, count(DISTINCT (subscription_id, period_from))::int AS periods,
          (count(*) FILTER (WHERE status = 'finalised'))::int AS final, (count(*) FILTER (WHERE period_to <> next))::int AS torn
        FROM (SELECT *, lead(period_from) OVER (PARTITION BY subscription_id ORDER BY period_from) AS next FROM invoice) i`;
      expect(periods).toEqual({ invoices: n, periods: n, final: n, torn: 0 });
      const series = await db.$queryRaw`
        SELECT left(number, 2) AS series, count(*)::int AS n, max(substr(number, 4)::int) AS last, min(substr(number, 4)::int) AS first
        FROM invoice GROUP BY 1 ORDER BY 1`;
      const half = { n: n / 2, first: 1, last: n / 2 };
      expect(series).toEqual([
        { series: 'DE', ...half },
        { series: 'TG', ...half },
      ]);

      // $3.50 for each million, of which late ones have a line of their own, less the credit of $1.00 that was there each month.
      const late = SUBSCRIBERS * Math.max(0, months - 2);
      const [charged] = await db.$queryRaw<object[]>`
        SELECT sum(amount_minor)::int AS minor, (count(*) FILTER (WHERE snapshot #>> '{source,kind}' = 'late-usage'))::int AS late,
          (count(*) FILTER (WHERE snapshot #>> '{source,kind}' = 'credit'))::int AS credited
        FROM invoice_line`;
      const minor = 350 * (n + late) - 100 * months;
      expect(charged).toEqual({ minor, late, credited: months });
      const [credit] = await db.$queryRaw<object[]>`
        SELECT (SELECT sum(left_minor)::int FROM credit_grant) AS "left", (SELECT sum(amount_minor)::int FROM credit_entry) AS entries`;
      expect(credit).toEqual({ left: 0, entries: 0 });
      const [posted] = await db.$queryRaw<object[]>`
        SELECT count(DISTINCT transaction_id)::int AS acts, sum(amount_minor)::int AS balance,
          (sum(amount_minor) FILTER (WHERE ledger_account = 'receivable'))::int AS receivable
        FROM posting JOIN ledger_transaction t ON t.id = transaction_id WHERE act = 'finalise-invoice'`;
      expect(posted).toEqual({ acts: n, balance: 0, receivable: minor });
      const [audited] = await db.$queryRaw<object[]>`
        SELECT count(*)::int AS events, count(DISTINCT subject)::int AS subjects FROM audit_event WHERE action = 'finalise-invoice'`;
      expect(audited).toEqual({ events: n, subjects: n });
      const open = await db.subscription.groupBy({ by: ['billedTo'], _count: true });
      expect(open).toEqual([{ billedTo: new Date(month(months)), _count: SUBSCRIBERS }]);
      console.log(
        `${kills} kills in ${months} months from statement ${FIRST} on, ${rounds} runs lived to their end`,
      );
    },
  );
});
