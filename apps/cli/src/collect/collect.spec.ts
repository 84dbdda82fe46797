import { appendFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { AccessLogWriter } from '../../../../test/support/access-log.js';
import { StandInService } from '../../../../test/support/stand-in-service.js';
import { CollectStopped, collect, type CollectOptions } from './collect.js';

let service: StandInService;
let folder: string;
let log: AccessLogWriter;
let said: string[];
let printed: string[];

beforeEach(async () => {
  service = await StandInService.start();
  folder = await mkdtemp(join(tmpdir(), 'tollgate-collect-'));
  log = new AccessLogWriter(join(folder, 'access.log'));
  said = [];
  printed = [];
});

afterEach(async () => {
  await service.stop();
  await rm(folder, { recursive: true });
});

function run(options: Partial<CollectOptions> = {}, signal = new AbortController().signal) {
  return collect(
    {
      log: log.path,
      service: { url: service.url, token: service.token },
      state: join(folder, 'state'),
      intervalMs: 5,
      isOnce: true,
      isDryRun: false,
      skipsLost: false,
      ...options,
    },
    { signal, say: (line) => said.push(line), print: (line) => printed.push(line) },
  );
}

/** Follows the log while `work` happens and ends when all of it is committed. */
async function whileFollowing(work: () => Promise<void> | void): Promise<void> {
  const stop = new AbortController();
  const following = run({ isOnce: false }, stop.signal);
  try {
    await work();
    await vi.waitFor(expectExactlyOnce, { timeout: 4_000 });
  } finally {
    stop.abort();
    await following;
  }
}

function expectExactlyOnce(): void {
  const byKey = ({ keyId }: Record<string, string>): string => keyId ?? '';
  expect(service.committed('calls', byKey)).toEqual(log.calls);
  expect(service.committed('bytes-out', byKey)).toEqual(log.bytesOut);
  expect(service.gaps()).toEqual([]);
}

describe('collect --once', () => {
  it('sends a backlog, says how far it is, and sends nothing the second time', async () => {
    log.append(1_000);
    await run();
    expectExactlyOnce();
    expect(said.at(-1)).toMatch(/^(\d+) of \1 bytes, 800 calls in 1 batches, 0 unreadable lines$/);
    await run();
    expect(service.answers).toHaveLength(1);
  });

  it('splits what does not fit into one batch', async () => {
    log.append(10_000);
    await run();
    expect(service.batches.size).toBe(2);
    expectExactlyOnce();
  });

  it('finishes rotated files first, the oldest before the newer', async () => {
    log.append(10);
    await run();
    for (const rotate of ['rename', 'copyTruncate', 'rename'] as const) {
      log.append(10);
      log[rotate]();
    }
    log.append(10);
    await run();
    expect(service.batches.size).toBe(1 + 4);
    expectExactlyOnce();
  });

  it('leaves a line that is not whole for later', async () => {
    log.append(3);
    let committed = 0;
    const runs: Promise<void>[] = [];
    log.appendInTwo(() => {
      runs.push(run().then(() => void (committed = service.committed('calls')['all'] ?? 0)));
    });
    await Promise.all(runs);
    await run();
    expect(committed).toBeGreaterThan(0);
    expectExactlyOnce();
  });

  it('says which lines it could not read, and counts the others', async () => {
    appendFileSync(log.path, '127.0.0.1 - - "GET /"\n');
    log.append(5);
    await run();
    expect(said[0]).toMatch(/^1 unreadable lines in bytes 0 to \d+$/);
    expectExactlyOnce();
  });

  it('does not number lines without a call that passed', async () => {
    appendFileSync(log.path, '{"decision":"refused"}\n'.repeat(5));
    await run();
    expect(service.batches.size).toBe(0);
    log.append(5);
    await run();
    expectExactlyOnce();
  });
});

describe('collect', () => {
  it('follows a log that grows, is renamed and is truncated in place', async () => {
    await whileFollowing(async () => {
      for (const rotate of ['rename', 'copyTruncate', 'copyTruncate', 'rename'] as const) {
        log.append(20);
        await vi.waitFor(() => expect(service.batches.size).toBeGreaterThan(0));
        log.append(20);
        log[rotate]();
      }
      log.append(20);
    });
  });

  it('waits for a log that is not there yet, and for a service that is away', async () => {
    service.fault = 'error';
    await whileFollowing(async () => {
      log.append(5);
      await vi.waitFor(() => expect(said.join()).toContain('waits, 1 tries, last: HTTP 500'));
      service.fault = 'none';
    });
  });

  it('sends the same bytes again when it died before it knew', async () => {
    log.append(100);
    service.fault = 'drop-answer';
    const stop = new AbortController();
    const dying = run({ isOnce: false }, stop.signal);
    await vi.waitFor(() => expect(service.batches.size).toBe(1));
    stop.abort();
    await dying;
    log.append(100);
    service.fault = 'none';
    await run();
    expect(service.answers.map(({ status }) => status)).toEqual([200, 201]);
    expectExactlyOnce();
  });

  it('stops rather than count twice when its position was lost', async () => {
    log.append(100);
    await run();
    log.append(100);
    rmSync(join(folder, 'state'));
    await expect(run()).rejects.toThrow(CollectStopped);
    expect(service.committed('calls')).toEqual({ all: 80 });
  });

  it('stops when unsent lines are gone, and goes on when told to', async () => {
    log.append(50);
    await run();
    truncateSync(log.path);
    const calls = { ...log.calls };
    log.append(50);
    await expect(run()).rejects.toThrow('accept the loss with --skip-lost');
    await run({ skipsLost: true });
    expect(said.join()).toContain('lost: whatever followed byte');
    expect(log.calls).not.toEqual(calls);
    expectExactlyOnce();
  });

  it('keeps its position in a file of its own form', async () => {
    log.append(5);
    await run();
    const kept = JSON.parse(await readFile(join(folder, 'state'), 'utf8'));
    expect(kept).toMatchObject({ format: 1, position: { nextSequence: 1, cut: null } });
    expect(JSON.stringify(kept)).not.toContain(service.token);
    writeFileSync(join(folder, 'state'), '{"format":99}');
    await expect(run()).rejects.toThrow('was not written by this version');
  });
});

describe('collect --dry-run', () => {
  it('prints the first records and sends nothing', async () => {
    log.append(10);
    await run({ isDryRun: true });
    expect(JSON.parse(printed[0] ?? '')).toMatchObject({ apiId: 'petstore01', statusClass: '2xx' });
    expect(said[0]).toBe('10 lines read, 0 unreadable, 8 records; the first:');
    expect(service.answers).toEqual([]);
  });
});
