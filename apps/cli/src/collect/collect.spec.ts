import { appendFileSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { open, readFile, type FileHandle } from 'node:fs/promises';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { AccessLogWriter } from '../../../../test/support/access-log.js';
import { Collecting } from '../../../../test/support/collecting.js';
import type { StandInService } from '../../../../test/support/stand-in-service.js';
import { CollectStopped } from './collector.js';

let on: Collecting;
let service: StandInService;
let log: AccessLogWriter;

beforeEach(async () => {
  on = await Collecting.start();
  ({ service, log } = on);
});

afterEach(() => on.stop());

describe('collect --once', () => {
  it('sends a backlog, says how far it is, and sends nothing the second time', async () => {
    log.append(1_000);
    await on.run();
    expect(on.metered).toEqual(on.passed);
    expect(on.said.at(-1)).toMatch(
      /^(\d+) of \1 bytes, 1000 lines \(\d+ a second\), 800 calls in 1 batches, 0 set aside$/,
    );
    await on.run();
    expect(service.answers).toHaveLength(1);
  });

  it('splits what does not fit into one batch', async () => {
    log.append(10_000);
    await on.run();
    expect(service.batches.size).toBe(2);
    expect(on.metered).toEqual(on.passed);
  });

  it('finishes rotated files first, the oldest before the newer', async () => {
    log.append(10);
    await on.run();
    for (const rotate of ['rename', 'copyTruncate', 'rename'] as const) {
      log.append(10);
      log[rotate]();
    }
    log.append(10);
    await on.run();
    expect(service.batches.size).toBe(1 + 4);
    expect(on.metered).toEqual(on.passed);
  });

  it('leaves a line that is not whole for later', async () => {
    log.append(3);
    let committed = 0;
    const runs: Promise<void>[] = [];
    log.appendInTwo(() => {
      runs.push(on.run().then(() => void (committed = service.committed('calls')['all'] ?? 0)));
    });
    await Promise.all(runs);
    await on.run();
    expect(committed).toBeGreaterThan(0);
    expect(on.metered).toEqual(on.passed);
  });

  it('says which lines it could not read, and counts the others', async () => {
    appendFileSync(log.path, '127.0.0.1 - - "GET /"\n');
    log.append(5);
    await on.run();
    const reason = 'is not JSON';
    expect(on.said[0]).toBe(
      `set aside 1 of bytes 0 to 22, 1 in all, see ${on.sideFile}: ${reason}`,
    );
    expect(on.said.at(-1)).toBe(`1 lines are set aside in ${on.sideFile}`);
    const line = '127.0.0.1 - - "GET /"';
    expect(on.setAside()).toEqual([{ epoch: expect.any(String), from: 0, to: 22, reason, line }]);
    expect(on.metered).toEqual(on.passed);
  });

  it('does not number lines without a call that passed', async () => {
    appendFileSync(log.path, '{"decision":"refused"}\n'.repeat(5));
    await on.run();
    expect(service.batches.size).toBe(0);
    log.append(5);
    await on.run();
    expect(on.metered).toEqual(on.passed);
  });
});

describe('collect', () => {
  it('follows a log that grows, is renamed and is truncated in place', async () => {
    await on.whileFollowing(async () => {
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
    await on.whileFollowing(async () => {
      log.append(5);
      await vi.waitFor(() => expect(on.said.join()).toContain('waits, 1 tries, last: HTTP 500'));
      service.fault = 'none';
    });
  });

  it('sends the same bytes again when it died before it knew', async () => {
    log.append(100);
    service.fault = 'drop-answer';
    const stop = new AbortController();
    const dying = on.run({ isOnce: false }, { signal: stop.signal });
    await vi.waitFor(() => expect(service.batches.size).toBe(1));
    stop.abort();
    await dying;
    log.append(100);
    service.fault = 'none';
    await on.run();
    expect(service.answers.map(({ status }) => status)).toEqual([200, 201]);
    expect(on.metered).toEqual(on.passed);
  });

  it('stops rather than count twice when its position was lost', async () => {
    log.append(100);
    await on.run();
    log.append(100);
    rmSync(on.state);
    await expect(on.run()).rejects.toThrow(CollectStopped);
    expect(service.committed('calls')).toEqual({ all: 80 });
  });

  it('stops when unsent lines are gone, and goes on when told to', async () => {
    log.append(50);
    await on.run();
    truncateSync(log.path);
    const calls = { ...log.calls };
    log.append(50);
    await expect(on.run()).rejects.toThrow('accept the loss with --skip-lost');
    await on.run({ skipsLost: true });
    expect(on.said.join()).toContain('lost: whatever followed byte');
    expect(log.calls).not.toEqual(calls);
    expect(on.metered).toEqual(on.passed);
  });

  it('keeps its position in a file of its own form', async () => {
    log.append(5);
    await on.run();
    const kept = JSON.parse(await readFile(on.state, 'utf8'));
    expect(kept).toMatchObject({ format: 2, position: { nextSequence: 1, cut: null } });
    expect(JSON.stringify(kept)).not.toContain(service.token);
    writeFileSync(on.state, '{"format":99}');
    await expect(on.run()).rejects.toThrow('was not written by this version');
  });
});

describe('collect --dry-run', () => {
  it('prints the first records and sends nothing', async () => {
    log.append(10);
    await on.run({ isDryRun: true });
    expect(JSON.parse(on.printed[0] ?? '')).toMatchObject({
      apiId: 'petstore01',
      statusClass: '2xx',
    });
    expect(on.said[0]).toBe(
      '10 lines read: 2 not to be metered, 0 unreadable, 8 records; the first:',
    );
    expect(service.answers).toEqual([]);
  });
});

describe('what cannot be counted', () => {
  it('is in the side file exactly once, whenever the run before it died', async () => {
    log.append(3);
    appendFileSync(log.path, 'no JSON\n');
    service.fault = 'error';
    const stop = new AbortController();
    const dying = on.run({}, { signal: stop.signal });
    await vi.waitFor(() => expect(service.answers.length).toBeGreaterThan(0));
    stop.abort();
    await dying;
    // The line of a batch whose cut was not kept any more.
    appendFileSync(on.sideFile, '{"epoch":"x","from":1,"to":2,"reason":"is half wri');
    service.fault = 'none';
    appendFileSync(log.path, 'nor this\n');
    await on.run();
    await on.run();
    expect(on.setAside().map(({ line }) => line)).toEqual(['no JSON', 'nor this']);
    expect(on.metered).toEqual(on.passed);
  });

  it('does not stop the rest when a line never ends', async () => {
    log.append(2);
    appendFileSync(log.path, `${'\0'.repeat(9 * 1024 * 1024)}\n`);
    log.append(2);
    await on.run();
    expect(on.metered).toEqual(on.passed);
    const reason = 'is longer than 4 MiB; only its start is kept';
    expect(on.setAside()).toEqual([expect.objectContaining({ reason, line: '\0'.repeat(1_024) })]);
  });

  it('says what the service quarantines, and why, and goes on', async () => {
    service.unknownKeys.add('key3').add('key5');
    log.append(700);
    await on.run();
    expect(on.metered).toEqual(on.passed);
    expect(on.setAside()).toEqual([]);
    const quarantined = (log.calls['key3'] ?? 0) + (log.calls['key5'] ?? 0);
    expect(on.said[0]).toMatch(
      new RegExp(
        `^the service cannot count ${quarantined} records of batch 0, ${quarantined} since the start, and keeps them in its quarantine ` +
          String.raw`\(GET /v1/usage/quarantine\): (/records/\d+/keyId is not an API key of this account, ){3}…$`,
      ),
    );
    expect(on.said.at(-1)).toContain(`${quarantined} records went into the service's quarantine`);
  });

  it('stops when the service does not take a batch, and sends it when it does', async () => {
    log.append(10);
    service.onBatch = () => (service.fault = 'refuse');
    await expect(on.run()).rejects.toThrow('the service refused batch 0 (HTTP 400)');
    service.onBatch = () => undefined;
    service.fault = 'none';
    await on.run();
    expect(on.metered).toEqual(on.passed);
    expect(service.gaps()).toEqual([]);
  });
});

describe('a service that is away', () => {
  it('is not asked again before its Retry-After', async () => {
    service.retryAfterSeconds = 3_600;
    log.append(5);
    const stop = new AbortController();
    const waiting = on.run({}, { signal: stop.signal });
    await vi.waitFor(() => expect(on.said.join()).toContain('1 tries, last: HTTP 503'));
    // Without Retry-After the second try comes after 100 ms at most.
    const until = Date.now() + 400;
    await vi.waitFor(() => expect(Date.now()).toBeGreaterThan(until), { timeout: 10_000 });
    expect(service.answers).toHaveLength(1);
    stop.abort();
    await waiting;
    expect(on.said.at(-1)).toContain('they stay in the log for the next start');
    service.retryAfterSeconds = undefined;
    await on.run();
    expect(on.metered).toEqual(on.passed);
  });

  it('gets each batch from a disk that has it already', async () => {
    const handle = await open(log.path, 'a');
    const prototype: FileHandle = Object.getPrototypeOf(handle);
    await handle.close();
    const { writeFile: writeFileTo, sync: syncOf } = prototype;
    const unsynced = new Set<unknown>();
    const written = vi.spyOn(prototype, 'writeFile').mockImplementation(function (
      this: FileHandle,
      ...args
    ) {
      unsynced.add(this);
      return writeFileTo.apply(this, args);
    });
    const synced = vi.spyOn(prototype, 'sync').mockImplementation(function (this: FileHandle) {
      unsynced.delete(this);
      return syncOf.apply(this);
    });
    const faults: string[] = [];
    service.onBatch = (body) => {
      if (unsynced.size > 0) faults.push('something that was written is not synced');
      if (JSON.parse(readFileSync(on.state, 'utf8')).position.cut?.body !== body)
        faults.push('the cut is not kept');
    };
    try {
      log.append(6_000);
      appendFileSync(log.path, 'no JSON\n');
      log.append(6_000);
      await on.run();
    } finally {
      written.mockRestore();
      synced.mockRestore();
    }
    expect(service.batches.size).toBeGreaterThan(1);
    expect(faults).toEqual([]);
    expect(on.metered).toEqual(on.passed);
  });
});

describe('the end', () => {
  it('sends what is written when it is told to end, whatever the interval', async () => {
    log.append(100);
    const drain = new AbortController();
    const ending = on.run({ isOnce: false, intervalMs: 3_600_000 }, { drain: drain.signal });
    await vi.waitFor(() => expect(service.batches.size).toBe(1));
    log.append(10_000);
    log.rename();
    log.append(100);
    drain.abort();
    await ending;
    expect(on.metered).toEqual(on.passed);
  });

  it('does not wait for a service that is away longer than it may', async () => {
    service.fault = 'error';
    log.append(10);
    const drain = new AbortController();
    const ending = on.run({ isOnce: false, drainMs: 50 }, { drain: drain.signal });
    await vi.waitFor(() => expect(on.said.join()).toContain('HTTP 500'));
    drain.abort();
    await ending;
    expect(on.said.at(-1)).toContain('they stay in the log for the next start');
    service.fault = 'none';
    await on.run();
    expect(on.metered).toEqual(on.passed);
  });

  it('shows a bar where there is a terminal', async () => {
    const shown: string[] = [];
    log.append(20_000);
    await on.run({}, { show: (line) => shown.push(line) });
    expect(shown[0]).toMatch(/^\[#*-*\] +\d+% {2}\d+ lines, \d+ a second$/);
  });
});
