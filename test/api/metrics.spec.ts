import { readFileSync } from 'node:fs';
import { QuotaAuthority } from '@io/limits';
import { Database } from '@io/platform';
import { load } from 'js-yaml';
import { beforeAll, describe, expect, it, onTestFinished, vi } from 'vitest';
import { startApi, type TestApi } from '../support/api.js';
import { aCatalogue, type Catalogue } from '../support/catalogue.js';
import { callRaw } from '../support/raw-http.js';
import { RedisServer } from '../support/redis.js';
import { describeWith } from '../support/services.js';

const TOKEN = 'metrics-token-of-prometheus';

let api: TestApi;
beforeAll(async () => {
  api = await startApi({ TOLLGATE_METRICS_TOKEN: TOKEN });
});

const scrape = async (of = api) =>
  String((await of.call('GET', '/metrics', { token: TOKEN })).body as unknown);

/** Every sample of the text, by its name and labels as they are written. */
function samples(text: string): Map<string, number> {
  const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  return new Map(
    lines.map((line) => {
      const space = line.lastIndexOf(' ');
      return [line.slice(0, space), Number(line.slice(space + 1))];
    }),
  );
}

/** What the samples rose by, of those that rose. */
async function risen(during: () => Promise<unknown>): Promise<Record<string, number>> {
  const before = samples(await scrape());
  await during();
  const after = samples(await scrape());
  return Object.fromEntries(
    [...after]
      .map(([name, value]) => [name, value - (before.get(name) ?? 0)] as const)
      .filter(([name, by]) => by !== 0 && name.startsWith('tollgate_decision')),
  );
}

const question = ({ apiKey, apiId, stage }: Catalogue, more: object = {}) => ({
  apiKey,
  apiId,
  stage,
  method: 'GET',
  path: '/pets',
  ...more,
});
const decide = (body: object) =>
  api.call('POST', '/v1/decisions', { token: api.gatewayToken, body });

const total = (face: string, result: string, reason = '', level = '') =>
  `tollgate_decisions_total{face="${face}",result="${result}",reason="${reason}",level="${level}"}`;

describe('GET /metrics', () => {
  it('404: is not there while no token is set', async () => {
    const plain = await startApi({ TOLLGATE_METRICS_TOKEN: '' });
    for (const token of [null, '', TOKEN, plain.ownerToken]) {
      expect((await plain.call('GET', '/metrics', { token })).status).toBe(404);
    }
  });

  it('401: takes its own token and no other', async () => {
    for (const token of [null, '', 'x', `${TOKEN}x`, api.ownerToken, api.gatewayToken]) {
      expect((await api.call('GET', '/metrics', { token })).status).toBe(401);
    }
  });

  it('200: is what Prometheus reads, with Node’s own metrics, and says each metric once', async () => {
    await decide(question(await aCatalogue(api)));
    const answer = await api.call('GET', '/metrics', { token: TOKEN });
    expect(answer.status).toBe(200);
    expect(answer.headers.get('content-type')).toBe('text/plain; version=0.0.4; charset=utf-8');
    const text = await scrape();
    for (const line of text.split('\n')) {
      expect(line).toMatch(
        /^$|^# (HELP|TYPE) [a-z_0-9]+ .+$|^[a-z_0-9]+(\{[a-z_]+="[^"\n]*"(,[a-z_]+="[^"\n]*")*\})? (-?[0-9.e+-]+|Nan)$/,
      );
    }
    const types = [...text.matchAll(/^# TYPE (\S+)/gm)].map(([, name]) => name);
    expect(types).toEqual([...new Set(types)]);
    expect(types).toEqual(
      expect.arrayContaining(['nodejs_eventloop_lag_seconds', 'process_cpu_seconds_total']),
    );
  });

  it('counts what was decided, by face, result, reason and level', async () => {
    const open = await aCatalogue(api);
    const once = await aCatalogue(api, { throttle: { rateLimit: 0.001, burstLimit: 1 } });
    const shadow = await aCatalogue(api, { quota: { limit: 1, period: 'DAY' }, shadow: true });
    expect(
      await risen(async () => {
        await decide(question(open));
        await decide(question(open, { dryRun: true }));
        await decide(question(open, { apiKey: null }));
        await decide(question(open, { apiKey: 'nobody’s' }));
        await decide(question(open, { path: '/pets/../admin' }));
        await decide({ decisions: [question(once), question(once), question(once)] });
        await decide({ decisions: [question(shadow), question(shadow)] });
        await callRaw(api.url, {
          target: `/v1/forward-auth/${open.apiId}/${open.stage}/path/pets`,
          fields: [
            ['X-Tollgate-Token', api.gatewayToken],
            ['X-Api-Key', open.apiKey],
          ],
        });
      }),
    ).toMatchObject({
      [total('decisions', 'allowed')]: 1,
      [total('decisions', 'refused', 'missing-key')]: 1,
      [total('decisions', 'refused', 'unknown-key')]: 1,
      [total('decisions', 'refused', 'ambiguous-path')]: 1,
      [total('batch', 'allowed')]: 2,
      [total('batch', 'refused', 'throttled', 'usage-plan')]: 2,
      [total('batch', 'shadowed', 'quota-exceeded')]: 1,
      [total('forward-auth', 'allowed')]: 1,
      tollgate_decision_ambiguous_path_total: 1,
      'tollgate_decision_duration_seconds_count{face="forward-auth",source="local"}': 1,
    });
  });

  it('tells what was leased, what is in hand, and that the authority is gone', async () => {
    const of = await aCatalogue(api, { quota: { limit: 1_000, period: 'DAY' } });
    const granted = 'tollgate_lease_units_total{level="quota",event="granted"}';
    const op = 'tollgate_authority_request_duration_seconds_count{authority="quota",op="lease"}';
    const before = samples(await scrape());
    await decide(question(of, { cost: 5 }));
    const after = samples(await scrape());
    expect(after.get(granted)! - before.get(granted)!).toBeGreaterThanOrEqual(5);
    expect(after.get(op)! - before.get(op)!).toBe(1);
    expect(after.get('tollgate_authority_up{authority="quota"}')).toBe(1);
    expect(after.get('tollgate_key_cache_entries{kind="known"}')).toBeGreaterThan(0);

    const gone = vi
      .spyOn(api.app.get(QuotaAuthority), 'debit')
      .mockRejectedValue(new Error('gone'));
    const other = await aCatalogue(api, { quota: { limit: 5, period: 'DAY' } });
    await decide(question(other));
    gone.mockRestore();
    const down = samples(await scrape());
    expect(down.get('tollgate_authority_up{authority="quota"}')).toBe(0);
    expect(down.get(total('decisions', 'refused', 'unavailable'))).toBe(1);
    expect(down.get('tollgate_decision_degraded_total{policy="deny"}')).toBe(1);
    expect(down.get('tollgate_authority_failures_total{authority="quota"}')).toBeGreaterThan(0);
  });

  it('tells how long the news of a revoked key took', async () => {
    const of = await aCatalogue(api);
    await decide(question(of));
    const heard = async () =>
      samples(await scrape()).get('tollgate_revocation_propagation_seconds_count') ?? 0;
    const before = await heard();
    await api.call('PATCH', `/v1/api-keys/${of.keyId}`, { body: { enabled: false } });
    await expect.poll(heard, { timeout: 1_000, interval: 10 }).toBeGreaterThan(before);
    const text = samples(await scrape());
    const sum = text.get('tollgate_revocation_propagation_seconds_sum') ?? Infinity;
    expect(sum / (await heard())).toBeLessThan(1);
    expect(text.get('tollgate_policy_news_up')).toBe(1);
  });

  it('names no key, customer, plan, api or path', async () => {
    const of = await aCatalogue(api, { quota: { limit: 9, period: 'DAY' } });
    await decide(question(of, { path: '/pets/in-the-path' }));
    await decide(question(of, { apiKey: 'a-key-of-nobody-at-all' }));
    const text = await scrape();
    const { apiKey, apiId, keyId, customerId, usagePlanId, accountId } = of;
    for (const secret of [apiKey, apiId, keyId, customerId, usagePlanId, accountId]) {
      expect(text).not.toContain(secret);
    }
    expect(text).not.toMatch(/pets|in-the-path|nobody-at-all/);
  });

  it('has every metric that the shipped alerts ask for', async () => {
    const rules = load(readFileSync('ops/prometheus/rules.yml', 'utf8')) as {
      groups: { rules: { alert: string; expr: string }[] }[];
    };
    const names = rules.groups.flatMap(({ rules: alerts }) =>
      alerts.flatMap(({ expr }) => expr.match(/\b(tollgate|nodejs)_[a-z0-9_]+/g) ?? []),
    );
    expect(names.length).toBeGreaterThan(5);
    const there = [...samples(await scrape()).keys()].map((sample) => sample.split('{', 1)[0]);
    expect(names.filter((name) => !there.includes(name))).toEqual([]);
  });

  it('answers without the database, and leaves out what only that knows', async () => {
    const lonely = await startApi({ TOLLGATE_METRICS_TOKEN: TOKEN });
    expect(await scrape(lonely)).toContain('tollgate_usage_gaps_open 0\n');
    await lonely.app.get(Database).pool.end();
    const text = await scrape(lonely);
    expect(text).toContain('tollgate_decisions_total');
    expect(text).not.toContain('tollgate_usage_gaps_open');
  });
});

describeWith('redis-server', 'GET /metrics of rates in Redis', () => {
  it('tells how long Redis takes, what it lent, and that it is gone and back', async () => {
    const redis = await RedisServer.start();
    onTestFinished(() => redis.stop());
    const shared = await startApi({ TOLLGATE_METRICS_TOKEN: TOKEN, REDIS_URL: redis.url });
    onTestFinished(() => void delete process.env['REDIS_URL']);
    const of = await aCatalogue(shared, { throttle: { rateLimit: 1, burstLimit: 9 } });
    const ask = async () =>
      (
        await shared.call('POST', '/v1/decisions', {
          token: shared.gatewayToken,
          body: question(of),
        })
      ).body['reason'];
    const rate = async (name: string) => samples(await scrape(shared)).get(`tollgate_${name}`);

    expect(await ask()).toBeUndefined();
    expect(await rate('authority_up{authority="rate"}')).toBe(1);
    expect(await rate('lease_units_total{level="rate",event="granted"}')).toBeGreaterThan(0);
    const count = 'authority_request_duration_seconds_count{authority="rate",op="script"}';
    expect(await rate(count)).toBeGreaterThan(0);

    await redis.kill();
    await expect.poll(ask, { timeout: 10_000 }).toBe('unavailable');
    expect(await rate('authority_up{authority="rate"}')).toBe(0);
    expect(await rate('authority_failures_total{authority="rate"}')).toBeGreaterThan(0);
    expect(await rate('decision_degraded_total{policy="deny"}')).toBeGreaterThan(0);

    await redis.start();
    await expect
      .poll(async () => (await ask(), rate('authority_up{authority="rate"}')), { timeout: 10_000 })
      .toBe(1);
  });
});
