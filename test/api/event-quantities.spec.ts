import { METERS } from '@core/metering';
import { UsageService } from '@io/metering';
import { Keyring } from '@io/platform';
import fc from 'fast-check';
import pg from 'pg';
import { beforeAll, describe, expect, it } from 'vitest';
import { afterFile } from '../support/after-file.js';
import { startApi, type TestApi } from '../support/api.js';
import { controlPlane } from '../support/control-plane.js';
import { anEvent, sendEvents } from '../support/events.js';
import { aCustomerToken, defaultAccount } from '../support/factories.js';

/** The tenth of last month: no month begins in the days after it. */
const FROM = Date.UTC(new Date().getUTCFullYear(), new Date().getUTCMonth() - 1, 10);
const AGGREGATIONS = ['sum', 'count', 'max', 'unique-count', 'latest'] as const;

let api: TestApi;
let usage: UsageService;
let db: pg.Pool;
let accountId: string;

beforeAll(async () => {
  api = await startApi();
  usage = api.app.get(UsageService);
  db = new pg.Pool({ connectionString: api.databaseUrl, max: 2 });
  afterFile(() => db.end());
  accountId = await defaultAccount(db);
  for (const aggregation of AGGREGATIONS) {
    const body = {
      name: `a-${aggregation}`,
      aggregation,
      eventType: 'gauge',
      ...(aggregation === 'count' ? {} : { valuePath: '$.data.value' }),
      groupBy: { model: '$.data.model' },
    };
    await controlPlane(api).meter(body);
  }
});

/** An event as the model has it: minutes after the first day began, a value, and what breaks ties. */
interface Gauge {
  readonly minute: number;
  readonly value: number;
  readonly source: string;
  readonly model: string;
}

const gauges = fc.array(
  fc.record<Gauge>({
    // Few instants, so that many are the same, at the edges of quarters and hours.
    minute: fc.constantFrom(0, 14, 15, 59, 60, 1_440),
    value: fc.integer({ min: 0, max: 5 }),
    source: fc.constantFrom('/a', '/b', '/B', '/%C3%A4'),
    model: fc.constantFrom('', 'y"\\'),
  }),
  { minLength: 10, maxLength: 40 },
);

/** What a part of the time amounts to, straight from all its events at once. */
function expected(events: readonly (Gauge & { readonly id: string })[]): Record<string, string> {
  if (events.length === 0) return {};
  const values = events.map(({ value }) => value);
  const byOrder = events.toSorted(
    (a, b) =>
      a.minute - b.minute ||
      Buffer.compare(Buffer.from(a.source), Buffer.from(b.source)) ||
      Buffer.compare(Buffer.from(a.id), Buffer.from(b.id)),
  );
  return {
    'a-count': String(events.length),
    'a-latest': String(byOrder.at(-1)!.value),
    'a-max': String(Math.max(...values)),
    'a-sum': String(values.reduce((sum, value) => sum + value, 0)),
    'a-unique-count': String(new Set(values).size),
  };
}

async function read(query: Record<string, string>) {
  const text = new URLSearchParams(query).toString();
  const { status, body } = await api.call('GET', `/v1/usage?${text}`);
  expect(status).toBe(200);
  return body['items'] as Record<string, string & { model: string }>[];
}

const instant = (minute: number) => new Date(FROM + minute * 60_000).toISOString();

describe('quantities of an own meter', () => {
  it('are the same in whatever order, requests and repetitions its events come, for every part of the time', async () => {
    let runs = 0;
    await fc.assert(
      fc.asyncProperty(gauges, fc.infiniteStream(fc.nat(1_000_000)), async (drawn, random) => {
        const { id: customerId } = await controlPlane(api).customer();
        const next = () => random.next().value;
        const events = drawn.map((gauge, n) => ({ ...gauge, id: `${(runs += 1)}-${n % 3}` }));
        const sent = [...events, ...events.filter(() => next() % 3 === 0)]
          .map((event) => ({ event, rank: next() }))
          .toSorted((a, b) => a.rank - b.rank);
        while (sent.length > 0) {
          const batch = sent.splice(0, 1 + (next() % 4)).map(({ event }) =>
            anEvent({
              id: event.id,
              source: event.source,
              type: 'gauge',
              subject: customerId,
              time: instant(event.minute),
              data: { value: event.value, model: event.model },
            }),
          );
          expect((await sendEvents(api, batch)).status).toBeLessThan(202);
          if (next() % 3 > 0) await usage.rollUpNow(accountId);
        }
        await usage.rollUpNow(accountId);
        for (const [from, to] of [
          [0, 4_320],
          [1, 1_441],
          [14, 60],
          [15, 61],
          [60, 75],
        ] as const) {
          const within = (event: Gauge, first: number, last: number) =>
            event.minute >= first && event.minute < last;
          const query = { customerId, from: instant(from), to: instant(to) };
          const all = await read({ ...query, interval: 'month' });
          const found = Object.fromEntries(all.map(({ meter, quantity }) => [meter, quantity]));
          expect(found).toEqual(expected(events.filter((event) => within(event, from, to))));
          for (const zone of ['UTC', 'Asia/Kathmandu']) {
            for (const item of await read({
              ...query,
              interval: 'hour',
              timezone: zone,
              groupBy: 'dimensions',
            })) {
              const first = (Date.parse(item['from']!) - FROM) / 60_000;
              const last = (Date.parse(item['to']!) - FROM) / 60_000;
              const ofPart = events.filter(
                (event) => within(event, first, last) && event.model === item['dimensions']!.model,
              );
              expect(item['quantity']).toBe(expected(ofPart)[item['meter']!]);
            }
          }
        }
      }),
      { numRuns: 8 },
    );
  }, 240_000);

  it('of each account and customer are their own, and by the groups that were asked for', async () => {
    const { id: customerId } = await controlPlane(api).customer();
    const { id: otherId } = await controlPlane(api).customer();
    const at = { type: 'gauge', time: instant(10) };
    await sendEvents(api, [
      anEvent({ ...at, subject: customerId, data: { value: 3, model: 'x' } }),
      anEvent({ ...at, subject: customerId, data: { value: 4, model: 'y' } }),
      anEvent({ ...at, subject: otherId, data: { value: 9 } }),
    ]);
    await usage.rollUpNow(accountId);
    const window = { from: instant(0), to: instant(1_440), interval: 'month', meter: 'a-max' };
    expect(await read({ ...window, customerId, groupBy: 'dimensions,keyId,method' })).toEqual([
      {
        from: window.from,
        to: window.to,
        meter: 'a-max',
        quantity: '3',
        dimensions: { model: 'x' },
      },
      {
        from: window.from,
        to: window.to,
        meter: 'a-max',
        quantity: '4',
        dimensions: { model: 'y' },
      },
    ]);
    const token = await aCustomerToken(db, api.app.get(Keyring), {
      account_id: accountId,
      customer_id: otherId,
    });
    const query = new URLSearchParams(window).toString();
    const own = await api.call('GET', `/v1/usage?${query}`, { token });
    expect(own.body['items']).toMatchObject([{ quantity: '9' }]);
    const csv = await api.call('GET', `/v1/usage?${query}&customerId=${customerId}&format=csv`);
    expect(csv.body).toContain(',a-max,4');
    expect(METERS as readonly string[]).not.toContain('a-max');
  });

  it('are what a period is charged: the greatest and the different ones of all of it, from its first instant on', async () => {
    const make = controlPlane(api);
    const key = await make.apiKey();
    const plan = await make.usagePlan({ apiStages: [await make.apiStage()] });
    await api.call('POST', `/v1/usage-plans/${plan.id}/keys`, { body: { keyId: key.id } });
    const meters = ['a-max', 'a-unique-count', 'a-latest', 'a-sum'];
    const card = await make.rateCard(
      meters.map((meter) => ({
        meter,
        description: meter,
        price: { model: 'per-unit', unitAmount: '1' },
      })),
    );
    const subscription = await make.subscription({
      customerId: key.customerId,
      usagePlanId: plan.id,
      rateCardId: card.id,
      startsAt: instant(7),
    });
    const gauge = (minute: number, value: number) =>
      anEvent({ type: 'gauge', subject: key.id, time: instant(minute), data: { value } });
    const events = [gauge(6, 9), gauge(7, 5), gauge(8, 2), gauge(100, 5), gauge(200, 3)];
    expect((await sendEvents(api, events)).status).toBe(201);
    await usage.rollUpNow(accountId);
    const { body } = await api.call('GET', `/v1/subscriptions/${subscription.id}/preview`);
    const lines = body['lines'] as { meter: string; quantity: string }[];
    expect(Object.fromEntries(lines.map(({ meter, quantity }) => [meter, quantity]))).toEqual({
      'a-max': '5',
      'a-unique-count': '3',
      'a-latest': '3',
      'a-sum': '15',
    });
  });
});
