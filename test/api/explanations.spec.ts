import { Decimal } from '@core/kernel';
import { runFinance } from '../../apps/cli/src/exports/run-finance.js';
import { beforeAll, describe, expect, it } from 'vitest';
import { allPages } from '../support/all-pages.js';
import { controlPlane } from '../support/control-plane.js';
import { anEvent, sendEvents } from '../support/events.js';
import {
  NOVEMBER,
  startInvoicing,
  type Drafted,
  type Invoicing,
  type Subscribed,
} from '../support/invoicing.js';

let on: Invoicing;
let sequence = 0;
beforeAll(async () => {
  on = await startInvoicing();
});

/** A rate card of tiers, conversion, included units, discount and minimum, by which calls are rounded up to tens. */
const CARD = {
  currency: 'USD',
  items: [
    {
      meter: 'calls',
      description: 'Calls',
      price: {
        model: 'graduated',
        tiers: [
          { upTo: '10', unitAmount: '0.333', flatAmount: '0' },
          { upTo: null, unitAmount: '0.1', flatAmount: '1' },
        ],
        convert: { divideBy: '10', round: 'up' },
        includedUnits: '2',
        discountPercent: '7',
      },
    },
  ],
};

interface Timed {
  readonly from: string;
  readonly to: string;
  readonly quantity: string;
}
interface Explanation {
  readonly line: {
    readonly id: string;
    readonly quantity: string;
    readonly amount: { readonly amount: string };
  };
  readonly rating: {
    readonly tiers: { amount: string; quantity: string }[];
    grossAmount: string;
  } | null;
  readonly units: Record<'metered' | 'converted' | 'included' | 'charged', string>;
  readonly steps: { readonly step: string; readonly amount: string }[];
  readonly usage:
    (Record<'billed' | 'counted' | 'changedSince', string> & { readonly days: Timed[] }) | null;
  readonly credits: { readonly amount: { readonly amount: string } }[];
}

const sum = (values: readonly string[]) =>
  values.reduce((all, value) => all.add(value), new Decimal(0)).toFixed();
const quantities = (items: readonly { readonly quantity: string }[]) =>
  sum(items.map(({ quantity }) => quantity));
const firstLine = async ({ path }: Drafted) =>
  `${path}/lines/${(await on.api.call('GET', path)).body.lines[0].id}/explanation`;
const explain = async (path: string) =>
  (await on.api.call('GET', path)).body as unknown as Explanation;

/** Calls that a gateway reports; batches of three records. */
async function send(of: Subscribed, calls: readonly (readonly [at: string, calls: string])[]) {
  for (let from = 0; from < calls.length; from += 3) {
    const records = calls.slice(from, from + 3).map(([at, quantity], index) => ({
      at,
      keyId: of.keyId,
      apiId: of.apiId,
      stage: of.stage,
      method: 'GET',
      resourcePath: '/pets',
      statusClass: '2xx',
      quantities: { calls: quantity },
      decisionIds: [`dec_aaaaaaaaaaaa${String(sequence * 10 + index).padStart(8, '0')}`],
    }));
    const body = { epoch: 'explained', sequence, records };
    const { status } = await on.api.call('POST', '/v1/usage/batches', {
      token: on.api.gatewayToken,
      body,
    });
    expect(status).toBe(201);
    sequence += 1;
  }
}

/** A draft over calls in hours of two New York days, of which one has 25 hours. */
async function aDraftOfCalls(): Promise<Drafted> {
  const { body: card } = await on.api.call('POST', '/v1/rate-cards', {
    body: { name: `explained ${sequence}`, ...CARD },
  });
  const periodRule = { kind: 'calendar', interval: 'month', timezone: 'America/New_York' };
  const of = await on.aSubscriber({
    rateCardId: card.id,
    periodRule,
    startsAt: '2026-11-01T04:00:00.000Z',
  });
  await send(of, [
    ['2026-11-01T04:00:00Z', '101'],
    ['2026-11-01T05:10:00Z', '7'],
    ['2026-11-02T04:59:59Z', '20'],
    ['2026-11-02T05:00:00Z', '3'],
    ['2026-11-02T05:14:00Z', '5'],
    ['2026-12-01T04:59:59Z', '11'],
    ['2026-12-01T05:00:00Z', '1000'],
  ]);
  await on.rows.moveClockTo('2026-12-01T05:10:00Z');
  await on.invoicing.closeDue();
  const [invoice] = await on.invoicesOf(of);
  return { ...of, id: String(invoice?.['id']), path: `/v1/invoices/${invoice?.['id']}` };
}

describe('GET /v1/invoices/{id}/lines/{lineId}/explanation', () => {
  it('adds up: steps to the amount, tiers to the gross, days to the quantity, hours to days, batches and records to hours', async () => {
    await on.rows.moveClockTo('2026-12-01T05:10:00Z');
    const of = await aDraftOfCalls();
    const path = await firstLine(of);
    const { line, rating, units, steps, usage } = await explain(path);
    expect(line.quantity).toBe('147');
    expect(sum(steps.map(({ amount }) => amount))).toBe(new Decimal(line.amount.amount).toFixed());
    expect(steps.map(({ step }) => step)).toEqual(['gross', 'discount', 'rounding']);
    expect(sum((rating?.tiers ?? []).map(({ amount }) => amount))).toBe(rating?.grossAmount);
    expect(quantities(rating?.tiers ?? [])).toBe(units.charged);
    expect(units).toEqual({ metered: '147', converted: '15', included: '2', charged: '13' });
    expect(usage).toMatchObject({ billed: '147', counted: '147', changedSince: '0' });
    expect(usage?.days).toEqual([
      { from: '2026-11-01T04:00:00.000Z', to: '2026-11-02T05:00:00.000Z', quantity: '128' },
      { from: '2026-11-02T05:00:00.000Z', to: '2026-11-03T05:00:00.000Z', quantity: '8' },
      { from: '2026-11-30T05:00:00.000Z', to: '2026-12-01T05:00:00.000Z', quantity: '11' },
    ]);
    for (const { from, to, quantity } of usage?.days ?? []) {
      const span = `from=${from}&to=${to}`;
      const { body: hours } = await on.api.call('GET', `${path}/hours?${span}`);
      expect(hours).toMatchObject({ from, to, quantity });
      expect(quantities(hours.items)).toBe(quantity);
      for (const level of ['batches', 'records']) {
        const { body } = await on.api.call('GET', `${path}/${level}?${span}`);
        expect(body).toMatchObject({ quantity, kept: quantity, dropped: '0' });
        expect(quantities(body['items'])).toBe(quantity);
      }
      for (const hour of hours.items as Timed[]) {
        const { body } = await on.api.call(
          'GET',
          `${path}/records?from=${hour.from}&to=${hour.to}`,
        );
        expect(quantities(body['items'])).toBe(hour.quantity);
      }
    }
    const { body: records } = await on.api.call(
      'GET',
      `${path}/records?from=2026-11-02T05:00:00Z&to=2026-11-02T06:00:00Z`,
    );
    expect(records['items']).toMatchObject([
      {
        epoch: 'explained',
        index: 0,
        quantity: '3',
        decisionIds: [expect.stringMatching(/^dec_/)],
      },
      { epoch: 'explained', index: 1, quantity: '5', at: '2026-11-02T05:14:00.000Z' },
    ]);
    const paged = await allPages<{ readonly eventId: string }>(
      on.api,
      `${path}/records?to=2026-11-02T05:00:00Z`,
      { limit: 1 },
    );
    expect(paged).toHaveLength(3);
    expect(
      await allPages<{ readonly eventId: string }>(
        on.api,
        `${path}/batches?to=2026-11-02T05:00:00Z`,
        { limit: 1 },
      ),
    ).toHaveLength(1);
  });

  it('says what is in no record any more, and what came since the line was rated', async () => {
    await on.rows.moveClockTo('2026-12-01T05:10:00Z');
    const of = await aDraftOfCalls();
    await on.post(`${of.path}/finalise`);
    const path = await firstLine(of);
    await send(of, [['2026-11-02T05:20:00Z', '40']]);
    const { UsageService } = await import('@io/metering');
    await on.api.app.get(UsageService).rollUpNow(of.accountId);
    const { usage, line } = await explain(path);
    expect(usage).toMatchObject({ billed: '147', counted: '187', changedSince: '40' });
    expect(quantities(usage?.days ?? [])).toBe('187');
    expect(line.quantity).toBe('147');
    await on.rows.db.$executeRaw`
      DELETE FROM usage_record WHERE customer_id = ${of.customerId} AND at < '2026-11-02T05:10:00Z'`;
    const span = 'from=2026-11-02T05:00:00Z&to=2026-11-03T05:00:00Z';
    const { body } = await on.api.call('GET', `${path}/batches?${span}`);
    expect(body).toMatchObject({ quantity: '48', records: 2, kept: '45', dropped: '3' });
    expect(quantities(body['items'])).toBe('45');
  });

  it('explains late usage by its period, a sum by hand, and what was credited', async () => {
    const first = await on.aFinalised();
    await on.use(first, { hour: '2026-11-20T10:00:00Z', quantity: '500000' });
    const body = { at: '2026-12-02T00:00:00Z' };
    await on.api.call('POST', `/v1/subscriptions/${first.subscriptionId}/end`, { body });
    await on.rows.moveClockTo('2026-12-02T00:10:00Z');
    await on.invoicing.closeDue();
    const [last] = await on.invoicesOf(first);
    const drafted = { ...first, id: String(last?.['id']), path: `/v1/invoices/${last?.['id']}` };
    const late = await explain(await firstLine(drafted));
    expect(late.steps).toEqual([
      { step: 'gross', amount: '5.25' },
      { step: 'billed-before', amount: '-3.50' },
    ]);
    expect(late.usage).toMatchObject({
      spans: [NOVEMBER],
      billed: '1500000',
      counted: '1500000',
      changedSince: '0',
    });
    expect(quantities(late.usage?.days ?? [])).toBe('1500000');

    const manual = { description: 'Setup', amount: '12.00', reason: 'As agreed' };
    await on.api.call('POST', `${drafted.path}/lines`, { body: manual });
    const { body: invoice } = await on.api.call('GET', drafted.path);
    const path = `${drafted.path}/lines/${invoice.lines[1].id}/explanation`;
    expect(await explain(path)).toMatchObject({
      line: { source: { kind: 'manual', reason: 'As agreed' } },
      rating: null,
      usage: null,
      steps: [{ step: 'decided', amount: '12.00' }],
    });
    expect((await on.api.call('GET', `${path}/hours`)).status).toBe(400);

    const lineId = (await on.api.call('GET', first.path)).body.lines[0].id;
    const credit = { reason: 'Outage', lines: [{ lineId, amount: '1.25' }] };
    await on.api.call('POST', `${first.path}/credit-notes`, { body: credit });
    expect((await explain(await firstLine(first))).credits).toMatchObject([
      { reason: 'Outage', amount: { amount: '1.25' } },
    ]);
    await on.rows.moveClockTo('2026-12-01T00:10:00Z');
  });

  it.each(['sum', 'count', 'max', 'latest', 'unique-count'])(
    'adds up the days and hours of an own meter that counts by %s',
    async (aggregation) => {
      const name = `explained-${aggregation}`;
      const valuePath = aggregation === 'count' ? {} : { valuePath: '$.data.value' };
      const meter = { name, aggregation, eventType: name, ...valuePath };
      await controlPlane(on.api).meter(meter);
      const item = {
        meter: name,
        description: name,
        price: { model: 'per-unit', unitAmount: '0.01' },
      };
      const { body: card } = await on.api.call('POST', '/v1/rate-cards', {
        body: { name, currency: 'USD', items: [item] },
      });
      const of = await on.aSubscriber({ rateCardId: card.id });
      const times = [
        ['2026-11-03T10:00:00Z', 7],
        ['2026-11-03T11:20:00Z', 3],
        ['2026-11-05T10:00:00Z', 7],
        ['2026-11-05T10:20:00Z', 9],
        ['2026-11-06T10:00:00Z', 4],
      ] as const;
      const events = times.map(([time, value]) =>
        anEvent({ type: name, time, subject: of.keyId, data: { value } }),
      );
      const { status } = await sendEvents(on.api, events);
      expect(status).toBeLessThan(300);
      await on.invoicing.closeDue();
      const [invoice] = await on.invoicesOf(of);
      const drafted = { ...of, id: '', path: `/v1/invoices/${invoice?.['id']}` };
      const path = await firstLine(drafted);
      const { line, usage } = await explain(path);
      expect(usage).toMatchObject({ billed: line.quantity, changedSince: '0' });
      expect(quantities(usage?.days ?? [])).toBe(line.quantity);
      for (const { from, to, quantity } of usage?.days ?? []) {
        const span = `from=${from}&to=${to}`;
        const { body: hours } = await on.api.call('GET', `${path}/hours?${span}`);
        expect(quantities(hours.items)).toBe(quantity);
        const paged = await allPages<{ readonly eventId: string }>(
          on.api,
          `${path}/records?${span}`,
          { limit: 1 },
        );
        expect(paged.map(({ eventId }) => eventId)).toEqual(
          events
            .filter(({ time }) => String(time) >= from.slice(0, 19) && String(time) < to)
            .map(({ id }) => id),
        );
      }
    },
  );

  it('is shown by the command line', async () => {
    const of = await on.aFinalised();
    const lineId = (await firstLine(of)).split('/').at(-2) ?? '';
    const service = { url: on.api.url, token: await on.rows.customerToken(of.customerId) };
    const printed: string[] = [];
    const around = {
      say: () => undefined,
      print: (text: string) => void printed.push(text),
      terminal: { width: 120, hasColour: false },
    };
    await runFinance({ name: 'explain', service, invoiceId: of.id, lineId }, around);
    expect(printed[0]).toMatch(/^REST API calls: 3\.50 USD on TG-[^]*2026-11-15 +1000000\n/);
  });

  it('answers 400 to a span beside the period or too long, 404 to a line of another invoice', async () => {
    const of = await on.aFinalised();
    const path = await firstLine(of);
    const status = async (rest: string) => (await on.api.call('GET', path + rest)).status;
    expect(await status('/hours?from=2026-10-31T00:00:00Z')).toBe(400);
    expect(await status('/hours?to=2026-12-02T00:00:00Z')).toBe(400);
    expect(await status('/batches')).toBe(400);
    expect(await status('/records?from=x')).toBe(400);
    expect(await status('/records?to=2026-11-02T00:00:00Z&cursor=x')).toBe(400);
    const other = await on.aFinalised();
    const lineId = path.split('/').at(-2);
    const wrong = `${other.path}/lines/${lineId}/explanation`;
    expect((await on.api.call('GET', wrong)).status).toBe(404);
    const token = await on.rows.customerToken(of.customerId);
    expect((await on.api.call('GET', path, { token })).status).toBe(200);
  });
});
