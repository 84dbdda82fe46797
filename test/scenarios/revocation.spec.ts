import pg from 'pg';
import { beforeAll, describe, expect, it } from 'vitest';
import { afterFile } from '../support/after-file.js';
import type { Answer } from '../support/api.js';
import { controlPlane } from '../support/control-plane.js';
import { createTestDatabase } from '../support/database.js';
import { EventReader } from '../support/event-reader.js';
import { AppProcess, GATEWAY_TOKEN } from '../support/processes.js';

/** More of them by hand: `FLIPS=5000 npx vitest run test/scenarios/revocation.spec.ts`. */
const FLIPS = Number(process.env['FLIPS'] ?? 200);
const PROCESSES = 3;
/** What is promised. */
const MS_MAX = 1_000;

let apis: AppProcess[];
let db: pg.Pool;
beforeAll(async () => {
  const databaseUrl = await createTestDatabase();
  db = new pg.Pool({ connectionString: databaseUrl, max: 2 });
  afterFile(() => db.end());
  apis = [];
  for (let n = 0; n < PROCESSES; n += 1) {
    const api = await AppProcess.start('api', databaseUrl);
    afterFile(() => api.stop());
    apis.push(api);
  }
});

type Body = Answer['body'];

/** One change, and how a process answers that knows it. */
interface Flip {
  readonly name: string;
  readonly change: (through: AppProcess) => Promise<Answer>;
  /** Of a dry run with this key. */
  readonly apiKey: string;
  readonly keyId?: string;
  readonly isKnown: (decision: Body) => boolean;
}

/** A key on a stage, and every change of it, there and back. */
async function aPlace() {
  const create = controlPlane(apis[0]!.http);
  const apiStage = await create.apiStage();
  const limit = { rateLimit: 1_000, burstLimit: 1_000 };
  const plan = await create.usagePlan({ apiStages: [apiStage], throttle: limit });
  const { customerId, id, value } = await create.apiKey();
  await create.apiKey({ customerId });
  const put = await apis[0]!.http.call('POST', `/v1/usage-plans/${plan['id']}/keys`, {
    body: { keyId: id },
  });
  expect(put.status).toBe(201);

  const patch = (path: string, body: Body) => (through: AppProcess) =>
    through.http.call('PATCH', path, { body });
  const ofKey = (body: Body) => patch(`/v1/api-keys/${id}`, body);
  const stage = `/v1/apis/${apiStage.apiId}/stages/${apiStage.stage}`;
  const apiKey = String(value);
  const isAllowed = ({ allowed }: Body) => allowed === true;
  const says = (reason: string) => (decision: Body) => decision['reason'] === reason;
  const there = (name: string, change: Flip['change'], isKnown: Flip['isKnown']) => ({
    name,
    change,
    apiKey,
    keyId: String(id),
    isKnown,
  });

  const block = (through: AppProcess) =>
    through.http.call('POST', `/v1/customers/${customerId}/blocks`, { body: { note: 'x' } });
  const lift = async (through: AppProcess) => {
    const { body } = await through.http.call('GET', `/v1/customer-blocks?customerId=${customerId}`);
    return through.http.call('DELETE', `/v1/customer-blocks/${body['items'][0].id}`);
  };

  const flips = (round: number): Flip[] => {
    const burstLimit = 1_001 + round;
    const imported = `imported-key-of-a-customer-${round}`;
    let importedId = '';
    const rotate = (through: AppProcess, body: Body) =>
      through.http.call('POST', `/v1/api-keys/${importedId}/rotations`, { body });
    return [
      there('a key is disabled', ofKey({ enabled: false }), says('disabled-key')),
      there('a key is enabled', ofKey({ enabled: true }), isAllowed),
      there('a customer is blocked', block, says('blocked-customer')),
      there('a customer is not blocked any more', lift, isAllowed),
      there(
        'the throttle of a plan changes',
        patch(`/v1/usage-plans/${plan['id']}`, { throttle: { rateLimit: 500, burstLimit } }),
        ({ rate }) => rate?.limit === burstLimit,
      ),
      there(
        'the throttle of a stage begins',
        patch(stage, { throttle: { rateLimit: 0, burstLimit: 0 } }),
        ({ level }) => level === 'stage-method',
      ),
      there('the throttle of a stage ends', patch(stage, { throttle: null }), isAllowed),
      there(
        'the IP policy of a key begins',
        ofKey({ ipPolicy: { deny: ['203.0.113.0/24'] } }),
        says('ip-denied'),
      ),
      there('the IP policy of a key ends', ofKey({ ipPolicy: null }), isAllowed),
      there(
        'the IP policy of an api begins',
        patch(`/v1/apis/${apiStage.apiId}`, { ipPolicy: { allow: ['198.51.100.1'] } }),
        says('ip-denied'),
      ),
      there(
        'the IP policy of an api ends',
        patch(`/v1/apis/${apiStage.apiId}`, { ipPolicy: null }),
        isAllowed,
      ),
      {
        name: 'a key is created that was unknown',
        change: async (through) => {
          const made = await through.http.call('POST', '/v1/api-keys', {
            body: { customerId, value: imported },
          });
          importedId = String(made.body['id']);
          return made;
        },
        apiKey: imported,
        isKnown: says('no-plan'),
      },
      {
        name: 'a key comes into a plan',
        change: (through) =>
          through.http.call('POST', `/v1/usage-plans/${plan['id']}/keys`, {
            body: { keyId: importedId },
          }),
        apiKey: imported,
        isKnown: isAllowed,
      },
      {
        name: 'a key is rotated',
        change: (through) => rotate(through, { overlapSeconds: 60, value: `second-${imported}` }),
        apiKey: `second-${imported}`,
        isKnown: isAllowed,
      },
      {
        name: 'the overlap of a rotation ends with the next one',
        change: (through) => rotate(through, { overlapSeconds: 0, value: `third-${imported}` }),
        apiKey: imported,
        isKnown: says('expired-key'),
      },
      {
        name: 'a key is deleted',
        change: (through) => through.http.call('DELETE', `/v1/api-keys/${importedId}`),
        apiKey: imported,
        isKnown: says('unknown-key'),
      },
    ];
  };
  const ask = async (api: AppProcess, key: string) =>
    (
      await api.http.call('POST', '/v1/decisions', {
        token: GATEWAY_TOKEN,
        body: {
          apiKey: key,
          ...apiStage,
          method: 'GET',
          path: '/pets',
          sourceIp: '203.0.113.9',
          dryRun: true,
        },
      })
    ).body;
  return { flips, ask };
}

/** Milliseconds until it is so; it is asked without a pause, and given up after a while. */
async function msUntil(isSo: () => Promise<boolean>): Promise<number> {
  const from = performance.now();
  while (!(await isSo())) if (performance.now() - from > 5 * MS_MAX) break;
  return performance.now() - from;
}

describe(`a change of policy, ${FLIPS} times`, () => {
  it(
    `is known to ${PROCESSES} processes and to a gateway at each of them in under a second`,
    { timeout: 60_000 + FLIPS * 1_000 },
    async () => {
      const { flips, ask } = await aPlace();
      const readers = await Promise.all(
        apis.map(({ url }) => EventReader.open(url, GATEWAY_TOKEN)),
      );
      const late: string[] = [];
      const times: number[] = [];
      let waiting: Flip[] = [];
      for (let flip = 0; flip < FLIPS; flip += 1) {
        if (waiting.length === 0) waiting = flips(flip);
        const { name, change, apiKey, isKnown } = waiting.shift()!;
        // Each process has the policy in memory, or remembers that the key is unknown.
        await Promise.all(apis.map((api) => ask(api, apiKey)));
        const heard = readers.map(({ events }) => events.length);
        const answer = await change(apis[flip % PROCESSES]!);
        expect(answer.status).toBeLessThan(300);
        const ms = await Promise.all([
          ...apis.map((api) => msUntil(async () => isKnown(await ask(api, apiKey)))),
          ...readers.map(async (reader, n) => {
            const from = performance.now();
            await reader.until(() => reader.events.length > heard[n]!);
            return performance.now() - from;
          }),
        ]);
        times.push(Math.max(...ms));
        if (Math.max(...ms) >= MS_MAX) late.push(`${name}: ${ms.map(Math.round).join(', ')} ms`);
      }
      expect(late).toEqual([]);
      expect(times).toHaveLength(FLIPS);
      times.sort((a, b) => a - b);
      const at = (share: number) => times[Math.floor((FLIPS - 1) * share)]!.toFixed(0);
      console.log(`${FLIPS} changes: median ${at(0.5)} ms, 99th ${at(0.99)} ms, last ${at(1)} ms`);
    },
  );

  it('is not undone by a policy that was being read when it came', async () => {
    const { flips, ask } = await aPlace();
    const [disable, enable] = flips(0);
    const locker = await db.connect();
    const reader = await EventReader.open(apis[1]!.url, GATEWAY_TOKEN);
    const heard = async (change: () => Promise<unknown>) => {
      const before = reader.events.length;
      await change();
      await reader.until(() => reader.events.length > before);
    };
    const isReading = async () => {
      const { rows } = await db.query(
        `SELECT count(*)::int AS n FROM pg_stat_activity
         WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE '%s.name AS stage%'`,
      );
      return rows[0].n > 0;
    };
    for (let round = 0; round < FLIPS / 5; round += 1) {
      await db.query(`UPDATE api_key SET enabled = true WHERE id = $1`, [disable!.keyId]);
      await msUntil(async () => enable!.isKnown(await ask(apis[1]!, enable!.apiKey)));
      // The key is read before its stage, and there the reading waits while the key is disabled.
      await locker.query('BEGIN');
      await locker.query('LOCK TABLE stage IN ACCESS EXCLUSIVE MODE');
      await heard(() => db.query(`SELECT tell_policy_of(id, '') FROM account`));
      const during = ask(apis[1]!, disable!.apiKey);
      await expect.poll(isReading, { interval: 2, timeout: 10_000 }).toBe(true);
      await heard(() =>
        db.query(`UPDATE api_key SET enabled = false WHERE id = $1`, [disable!.keyId]),
      );
      await locker.query('COMMIT');
      expect(await during).toMatchObject({ reason: 'disabled-key' });
      expect(await ask(apis[1]!, disable!.apiKey)).toMatchObject({ reason: 'disabled-key' });
    }
    locker.release();
  });
});
