import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { beforeAll, describe, expect, it } from 'vitest';
import { afterFile } from '../support/after-file.js';
import { controlPlane } from '../support/control-plane.js';
import { createTestDatabase } from '../support/database.js';
import { AppProcess, GATEWAY_TOKEN } from '../support/processes.js';

const RACER = fileURLToPath(new URL('../support/quota-racer.mjs', import.meta.url));
const RACERS = 10;

let db: pg.Pool;
let one: AppProcess;
let other: AppProcess;

beforeAll(async () => {
  const databaseUrl = await createTestDatabase();
  db = new pg.Pool({ connectionString: databaseUrl, max: 1 });
  afterFile(() => db.end());
  one = await AppProcess.start('api', databaseUrl);
  afterFile(() => one.stop());
  other = await AppProcess.start('api', databaseUrl);
  afterFile(() => other.stop());
});

type Call = Readonly<Record<string, string>>;

/** A call of a new key whose plan has this quota. */
async function aCallWithin(limit: number): Promise<Call> {
  const create = controlPlane(other.http);
  const apiStage = await create.apiStage();
  const plan = await create.usagePlan({ apiStages: [apiStage], quota: { limit, period: 'MONTH' } });
  const { id, value } = await create.apiKey();
  const body = { keyId: id };
  const { status } = await other.http.call('POST', `/v1/usage-plans/${plan['id']}/keys`, { body });
  if (status !== 201) throw new Error(`The key was not put into the plan: ${status}`);
  return {
    apiKey: String(value),
    ...apiStage,
    method: 'GET',
    path: '/pets',
    sourceIp: '203.0.113.7',
  };
}

/** How many of so many calls at once an api allows. */
async function allowed(api: AppProcess, call: Call, calls: number): Promise<number> {
  const { body } = await api.http.call('POST', '/v1/decisions', {
    token: GATEWAY_TOKEN,
    body: { decisions: Array.from({ length: calls }, () => call) },
  });
  const decisions = body['decisions'] as { allowed: boolean }[];
  return decisions.filter((decision) => decision.allowed).length;
}

/** Spends a quota to its end through one api, waiting for what others give back; answers how much it was. */
async function spendRest(api: AppProcess, call: Call): Promise<number> {
  let spent = 0;
  for (let emptyRounds = 0; emptyRounds < 4;) {
    const now = await allowed(api, call, 100);
    spent += now;
    if (now === 100) continue;
    emptyRounds = now === 0 ? emptyRounds + 1 : 0;
    await sleep(600);
  }
  return spent;
}

/** Ten processes, each on connections of its own to every one of these apis, all set off at once. */
async function race(call: Call, apis: readonly AppProcess[]): Promise<number> {
  const args = [GATEWAY_TOKEN, JSON.stringify(call), ...apis.map(({ url }) => url)];
  const racers = Array.from({ length: RACERS }, () => fork(RACER, args, { execArgv: [] }));
  await Promise.all(racers.map((racer) => once(racer, 'message')));
  const results = racers.map(async (racer) => {
    const [result] = (await once(racer, 'message')) as [{ allowed: number }];
    return result.allowed;
  });
  for (const racer of racers) racer.send('go');
  return (await Promise.all(results)).reduce((sum, each) => sum + each, 0);
}

async function debited({ apiKey }: Call): Promise<number> {
  const { rows } = await db.query(
    `SELECT debited::int FROM quota_spend q JOIN api_key k ON k.id = q.key_id WHERE k.last_four = $1`,
    [apiKey?.slice(-4)],
  );
  return rows[0].debited;
}

describe('a quota that two apis share', () => {
  it('gives ten processes that race for its last hundred calls exactly a hundred', async () => {
    const call = await aCallWithin(1_000);
    for (let spent = 0; spent < 900; spent += 100) expect(await allowed(one, call, 100)).toBe(100);
    expect(await race(call, [one, other])).toBe(100);
    expect(await debited(call)).toBe(1_000);
  });

  it('is never exceeded after kill -9 of an api with a block in hand, which is all that is lost', async () => {
    const call = await aCallWithin(12_800);
    let spent = 0;
    for (let round = 0; round < 10; round += 1) spent += await allowed(one, call, 37);
    await one.kill();
    const taken = await debited(call);
    // The api has a block in hand, or nothing was tried here.
    expect(taken).toBeGreaterThan(spent);
    spent += await spendRest(other, call);
    await one.start();
    spent += await spendRest(one, call);
    expect(spent).toBe(12_800 - (taken - 370));
    expect(await debited(call)).toBe(12_800);
  });

  it('loses nothing when an api stops in order in the middle of traffic', async () => {
    const call = await aCallWithin(12_800);
    const stop = new AbortController();
    const callers = Array.from({ length: 4 }, async () => {
      let spent = 0;
      while (!stop.signal.aborted) {
        const now = await allowed(one, call, 7).catch(() => 0);
        spent += now;
      }
      return spent;
    });
    await sleep(300);
    await one.stop();
    stop.abort();
    const before = (await Promise.all(callers)).reduce((sum, each) => sum + each, 0);
    const spent = before + (await spendRest(other, call));
    await one.start();
    expect(spent).toBe(12_800);
    expect(await debited(call)).toBe(12_800);
  });
});
