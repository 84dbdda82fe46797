import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { AccessLogWriter } from '../support/access-log.js';
import { StandInService } from '../support/stand-in-service.js';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const KILLS = 24;

let service: StandInService;
let folder: string;
let log: AccessLogWriter;

beforeEach(async () => {
  service = await StandInService.start();
  folder = await mkdtemp(join(tmpdir(), 'tollgate-collector-'));
  log = new AccessLogWriter(join(folder, 'access.log'));
});

afterEach(async () => {
  await service.stop();
  await rm(folder, { recursive: true });
});

/** `tollgate collect` as a process of its own. */
function startCollector(...options: string[]): { child: ChildProcess; exited: Promise<string> } {
  const child = spawn(
    process.execPath,
    [
      '--import',
      'tsx',
      'apps/cli/src/main.ts',
      'collect',
      log.path,
      '--interval',
      '10',
      ...options,
    ],
    {
      cwd: ROOT,
      env: { ...process.env, TOLLGATE_URL: service.url, TOLLGATE_GATEWAY_TOKEN: service.token },
      stdio: ['ignore', 'ignore', 'pipe'],
    },
  );
  let said = '';
  child.stderr?.setEncoding('utf8').on('data', (text: string) => (said += text));
  const exited = new Promise<string>((resolve) =>
    child.once('exit', (code, signal) => resolve(`${code ?? signal} ${said}`)),
  );
  return { child, exited };
}

const random = (max: number): number => Math.floor(Math.random() * max);
const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** Traffic and rotation for a while: what happens to a log while its collector lives and dies. */
async function traffic(ms: number): Promise<void> {
  for (const until = Date.now() + ms; Date.now() < until; await sleep(random(8))) {
    log.append(1 + random(30));
    // What was rotated before the first start is not the collector's: it begins with the live file.
    const chance = service.batches.size === 0 ? undefined : random(60);
    if (chance === 0) log.rename();
    else if (chance === 1) log.copyTruncate();
    service.fault = random(10) === 0 ? 'drop-answer' : 'none';
  }
  service.fault = 'none';
}

describe('tollgate collect', () => {
  it(`loses and repeats nothing when it is killed at ${KILLS} random moments`, async () => {
    let sentAtKills = 0;
    for (let kill = 0; kill < KILLS; kill += 1) {
      const before = service.batches.size;
      const { child, exited } = startCollector();
      await traffic(200);
      for (let waited = 0; service.batches.size === before && waited < 500; waited += 1) {
        await traffic(20);
      }
      await traffic(random(150));
      child.kill('SIGKILL');
      expect(await exited).toMatch(/^SIGKILL/);
      sentAtKills += service.batches.size - before;
    }
    log.append(1);
    expect(await startCollector('--once').exited).toMatch(/^0 /);
    const byKey = ({ keyId }: Record<string, string>): string => keyId ?? '';
    expect(service.committed('calls', byKey)).toEqual(log.calls);
    expect(service.committed('bytes-out', byKey)).toEqual(log.bytesOut);
    expect(service.gaps()).toEqual([]);
    expect(sentAtKills).toBeGreaterThan(KILLS);
    expect(service.answers.every(({ status }) => status === 200 || status === 201)).toBe(true);
  });

  it('ends at SIGTERM and goes on where it was', async () => {
    log.append(100);
    const { child, exited } = startCollector();
    while (service.batches.size === 0) await sleep(10);
    child.kill('SIGTERM');
    expect(await exited).toMatch(/^0 /);
    log.append(100);
    expect(await startCollector('--once').exited).toMatch(/^0 /);
    expect(service.committed('calls')).toEqual({ all: 160 });
  });
});
