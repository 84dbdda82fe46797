import { appendFileSync, existsSync, readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { beforeAll, describe, expect, it, onTestFinished, vi } from 'vitest';
import { AccessLogWriter, type AccessLogContent } from '../support/access-log.js';
import { startApi } from '../support/api.js';
import { aCatalogue } from '../support/catalogue.js';
import { collectorProgram, startCollector } from '../support/collector-process.js';
import { randomNumbers } from '../support/random.js';
import { StandInService } from '../support/stand-in-service.js';

/** A million and thirty by hand: `COLLECT_LINES=1000000 COLLECT_KILLS=30 npx vitest run test/gateways/collector.spec.ts`. */
const LINES = Number(process.env['COLLECT_LINES'] ?? 100_000);
const KILLS = Number(process.env['COLLECT_KILLS'] ?? 6);
const SEED = Number(process.env['COLLECT_SEED'] ?? Math.floor(Math.random() * 2 ** 31));
/** Lines of a minute are sums of few records, as on a busy gateway. */
const STEP_MS = 20;
const APPEND_MAX = 1_500;
const TIMEOUT = { timeout: 240_000 + KILLS * 20_000 + LINES };

const random = randomNumbers(SEED);
let program: string;

beforeAll(async () => {
  program = await collectorProgram();
});

/** A log in a folder of its own. */
async function aLog(content: AccessLogContent = {}): Promise<AccessLogWriter> {
  const folder = await mkdtemp(join(tmpdir(), 'tollgate-collector-'));
  onTestFinished(() => rm(folder, { recursive: true }));
  return new AccessLogWriter(join(folder, 'access.log'), content);
}

const calls = { isBroken: 0 };

/** Writes lines, some of them broken, and rotates between them as an operator may; rests now and then. */
async function traffic(log: AccessLogWriter, lines: number, mayRotate: () => boolean) {
  for (let left = lines; left > 0;) {
    const count = Math.min(left, 1 + random(APPEND_MAX));
    log.append(count);
    left -= count;
    if (random(8) === 0) {
      calls.isBroken += 1;
      appendFileSync(log.path, `broken ${calls.isBroken}\n`);
    }
    // What was rotated before the first start is not the collector's: it begins with the live file.
    const chance = mayRotate() ? random(24) : undefined;
    if (chance === 0) log.rename();
    else if (chance === 1) log.copyTruncate();
    else if (chance === 2) log.compress();
    if (random(4) === 0) await sleep(random(12));
  }
}

/** Kills the collector at random moments while lines are written, and ends it in order at last. */
async function lifeAndDeaths(
  log: AccessLogWriter,
  service: { readonly url: string; readonly token: string },
  onRound: () => void = () => undefined,
): Promise<{ killedAtWork: number }> {
  calls.isBroken = 0;
  let killedAtWork = 0;
  const hasBegun = (): boolean => stateOf(log) !== '';
  const share = Math.ceil(LINES / (KILLS + 1));
  for (let kill = 0; kill < KILLS; kill += 1) {
    const { child, exited } = startCollector(program, { log: log.path, service });
    const before = stateOf(log);
    let ended = '';
    void exited.then((how) => (ended = how));
    onRound();
    await traffic(log, Math.floor(share / 2), hasBegun);
    // At any moment from its start to long after it has caught up, and every second time when it has begun to work.
    await vi.waitFor(
      () =>
        expect([kill % 2 === 1 ? hasBegun() : stateOf(log) !== before, ended]).toEqual([true, '']),
      { timeout: 60_000 },
    );
    await sleep(random(900));
    child.kill('SIGKILL');
    expect(await exited).toMatch(/^SIGKILL/);
    if (stateOf(log) !== before) killedAtWork += 1;
    await traffic(log, Math.floor(share / 2), hasBegun);
  }
  await traffic(log, LINES - 2 * KILLS * Math.floor(share / 2), hasBegun);
  const { child, exited } = startCollector(program, {
    log: log.path,
    service,
    options: ['--drain', '600'],
  });
  // It handles signals once it has begun; what is written by then is what it must send.
  const before = stateOf(log);
  await vi.waitFor(() => expect(stateOf(log)).not.toBe(before), { timeout: 60_000 });
  child.kill('SIGTERM');
  expect(await exited).toMatch(/^0 /);
  return { killedAtWork };
}

/** What the state file says; empty while there is none. */
function stateOf({ path }: AccessLogWriter): string {
  const state = `${path}.tollgate-state`;
  return existsSync(state) ? readFileSync(state, 'utf8') : '';
}

/** The broken lines that are in the side file, in order. */
function setAside(log: AccessLogWriter): string[] {
  return readFileSync(`${log.path}.tollgate-set-aside`, 'utf8')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => String(JSON.parse(line).line))
    .toSorted();
}

const brokenLines = (): string[] =>
  Array.from({ length: calls.isBroken }, (_, index) => `broken ${index + 1}`).toSorted();

describe(`${LINES} lines, rotated, with ${KILLS} times kill -9 (COLLECT_SEED=${SEED})`, () => {
  it(
    'are metered exactly once, by a service that refuses what the real one refuses',
    TIMEOUT,
    async () => {
      const service = await StandInService.start();
      onTestFinished(() => service.stop());
      const log = await aLog({ stepMs: STEP_MS });
      const { killedAtWork } = await lifeAndDeaths(log, service, () => {
        service.fault = random(3) === 0 ? 'drop-answer' : 'none';
        setTimeout(() => (service.fault = 'none'), random(300));
      });
      const byKey = ({ keyId }: Record<string, string>): string => keyId ?? '';
      expect(service.committed('calls', byKey)).toEqual(log.calls);
      expect(service.committed('bytes-out', byKey)).toEqual(log.bytesOut);
      expect(log.passed).toBe((LINES * 4) / 5);
      expect(service.gaps()).toEqual([]);
      expect(setAside(log)).toEqual(brokenLines());
      expect(service.answers.filter(({ status }) => status !== 200 && status !== 201)).toEqual([]);
      expect(killedAtWork).toBeGreaterThanOrEqual(KILLS / 2);
    },
  );

  it('are metered exactly once by the service itself', TIMEOUT, async () => {
    const api = await startApi();
    const catalogues = [await aCatalogue(api), await aCatalogue(api), await aCatalogue(api)];
    const { apiId = '', stage = '' } = catalogues[0] ?? {};
    const log = await aLog({
      stepMs: STEP_MS,
      startsAt: Date.now() - LINES * STEP_MS - 60_000,
      keyIds: catalogues.map(({ keyId }) => keyId),
      apiId,
      stage,
    });
    await lifeAndDeaths(log, { url: api.url, token: api.gatewayToken });
    const db = new pg.Client(api.databaseUrl);
    await db.connect();
    onTestFinished(() => db.end());
    const counted = async (meter: string): Promise<Record<string, number>> => {
      const { rows } = await db.query<{ key_id: string; sum: string }>(
        'SELECT key_id, sum(quantity) FROM usage_record WHERE meter = $1 GROUP BY 1',
        [meter],
      );
      return Object.fromEntries(rows.map(({ key_id, sum }) => [key_id, Number(sum)]));
    };
    expect(await counted('calls')).toEqual(log.calls);
    expect(await counted('bytes-out')).toEqual(log.bytesOut);
    expect(setAside(log)).toEqual(brokenLines());
    const gaps = await api.call('GET', '/v1/usage/gaps');
    expect(gaps.body).toMatchObject({ items: [] });
  });
});

describe('SIGTERM', () => {
  it('sends what is written, ends with 0, and the next start goes on there', async () => {
    const service = await StandInService.start();
    onTestFinished(() => service.stop());
    const log = await aLog();
    log.append(100);
    const options = ['--interval', '600000'];
    const { child, exited } = startCollector(program, { log: log.path, service, options });
    await vi.waitFor(() => expect(service.batches.size).toBe(1), { timeout: 30_000 });
    log.append(6_000);
    log.rename();
    log.append(100);
    child.kill('SIGTERM');
    expect(await exited).toMatch(/^0 /);
    expect(service.committed('calls')).toEqual({ all: log.passed });
    log.append(100);
    const once = startCollector(program, { log: log.path, service, options: ['--once'] });
    expect(await once.exited).toMatch(/^0 /);
    expect(service.committed('calls')).toEqual({ all: log.passed });
    expect(service.gaps()).toEqual([]);
  });
});
