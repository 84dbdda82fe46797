import { NestFactory } from '@nestjs/core';
import { InvoicingService } from '@io/billing';
import { beforeAll, describe, expect, it } from 'vitest';
import { afterFile } from '../support/after-file.js';
import { WorkerModule } from '../../apps/worker/src/worker.module.js';
import { startApi, type TestApi } from '../support/api.js';
import { billingRows, type BillingRows } from '../support/billing.js';
import { aCatalogue, type Catalogue } from '../support/catalogue.js';

const DEADLINE = { timeout: 60_000, interval: 200 };

let api: TestApi;
let rows: BillingRows;
beforeAll(async () => {
  api = await startApi();
  rows = await billingRows(api);
  const worker = await NestFactory.createApplicationContext(WorkerModule, { logger: ['fatal'] });
  afterFile(() => worker.close());
});

const moveClockTo = async (now: string) => {
  const { status } = await api.call('POST', '/v1/test-clock', { body: { now } });
  expect(status).toBe(200);
};

let sequence = 0;

/** Reports calls, and answers out in bytes, as a gateway does. */
async function report(of: Catalogue, used: { at: string; calls: bigint; bytes: bigint }) {
  const { keyId, apiId, stage } = of;
  const quantities = { calls: used.calls.toString(), 'bytes-out': used.bytes.toString() };
  const call = { method: 'GET', resourcePath: '/pets', statusClass: '2xx' };
  const record = { at: used.at, keyId, apiId, stage, ...call, quantities };
  const body = { epoch: 'month-end', sequence: sequence++, records: [record] };
  const answer = await api.call('POST', '/v1/usage/batches', { token: api.gatewayToken, body });
  expect(answer.status).toBe(201);
  // A gateway that got no answer sends the same again.
  const again = await api.call('POST', '/v1/usage/batches', { token: api.gatewayToken, body });
  expect(again.body).toMatchObject({ duplicate: true });
}

/** Cents, half away from zero, of an amount in units of 10^-12 dollars. */
const cents = (picodollars: bigint) => (picodollars + 5_000_000_000n) / 10_000_000_000n;

/** What Amazon's prices come to, computed without any code of ours: $3.50 then $2.80 per million, $0.09 per GiB. */
function amountDue({ calls, bytes }: { calls: bigint; bytes: bigint }): bigint {
  const cheap = calls > 333_000_000n ? calls - 333_000_000n : 0n;
  const callCents = cents((calls - cheap) * 3_500_000n + cheap * 2_800_000n);
  const byteCents = cents((bytes * 90_000_000_000n) / 1_073_741_824n);
  return callCents + byteCents;
}

const invoicesOf = async ({ customerId }: Catalogue) => {
  const { body } = await api.call('GET', `/v1/invoices?customerId=${customerId}`);
  return (body.items as { id: string; total: { minor: string } }[]).toReversed();
};

const stored = async () => ({
  invoices: await rows.db.invoice.findMany({ orderBy: { id: 'asc' } }),
  lines: await rows.db.invoiceLine.findMany({ orderBy: { id: 'asc' } }),
  subscriptions: await rows.db.subscription.findMany({ orderBy: { id: 'asc' } }),
});

describe('the end of a month', () => {
  it('turns what gateways reported into invoices, once, at the prices of the card', async () => {
    await moveClockTo('2027-01-10T12:00:00Z');
    const customers = [await aCatalogue(api), await aCatalogue(api), await aCatalogue(api)];
    for (const { customerId, usagePlanId } of customers) {
      const rateCardId = 'amazon-api-gateway-us-east-1';
      const body = { customerId, usagePlanId, rateCardId, startsAt: '2027-01-05T00:00:00Z' };
      expect((await api.call('POST', '/v1/subscriptions', { body })).status).toBe(201);
    }
    const january = customers.map((of, n) => ({
      of,
      calls: 332_999_999n + BigInt(n) * 1_000_001n,
      bytes: 7_654_321_987n * BigInt(n),
    }));
    for (const { of, calls, bytes } of january) {
      await report(of, { at: '2027-01-10T11:59:59Z', calls: calls - 7n, bytes });
      await report(of, { at: '2027-01-10T11:30:00Z', calls: 7n, bytes: 0n });
    }

    await moveClockTo('2027-02-01T00:00:05Z');
    for (const { of, calls, bytes } of january) {
      await expect.poll(() => invoicesOf(of), DEADLINE).toHaveLength(1);
      const [draft] = await invoicesOf(of);
      expect(draft?.total.minor).toBe(amountDue({ calls, bytes }).toString());
    }

    // Late, into a period whose invoice is a draft still: it counts.
    const [late, ...others] = january;
    if (!late) throw new Error('There are three customers.');
    await report(late.of, { at: '2027-01-31T23:59:59Z', calls: 1_000_000n, bytes: 0n });
    const all = [{ ...late, calls: late.calls + 1_000_000n }, ...others];
    for (const { of, calls, bytes } of all) {
      const [draft] = await invoicesOf(of);
      const { status, body } = await api.call('POST', `/v1/invoices/${draft?.id}/finalise`);
      expect(status).toBe(200);
      expect(body.total.minor).toBe(amountDue({ calls, bytes }).toString());
      const lines = body.lines.map((line: { amount: { minor: string } }) =>
        BigInt(line.amount.minor),
      );
      expect(lines.reduce((sum: bigint, minor: bigint) => sum + minor, 0n)).toBe(
        BigInt(body.total.minor),
      );
    }

    // The clock jumps over three months: a period each, in order.
    await report(late.of, { at: '2027-02-01T00:00:01Z', calls: 5_000_000n, bytes: 0n });
    await moveClockTo('2027-05-01T00:00:05Z');
    await expect.poll(() => invoicesOf(late.of), DEADLINE).toHaveLength(4);
    const totals = (await invoicesOf(late.of)).map(({ total }) => total.minor);
    expect(totals.slice(1)).toEqual(['1750', '0', '0']);
    for (const { of } of others) await expect.poll(() => invoicesOf(of), DEADLINE).toHaveLength(4);

    const before = await stored();
    const invoicing = api.app.get(InvoicingService);
    await Promise.all([invoicing.closeDue(), invoicing.closeDue()]);
    for (const { id, status } of before.invoices) {
      if (status === 'finalised') await api.call('POST', `/v1/invoices/${id}/finalise`);
    }
    expect(await stored()).toEqual(before);
  });
});
