import {
  appendFileSync,
  copyFileSync,
  readFileSync,
  renameSync,
  statSync,
  truncateSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { gzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import { AccessLogWriter } from '../../../../test/support/access-log.js';
import { Collecting } from '../../../../test/support/collecting.js';
import { CollectStopped } from './collector.js';
import { LogFile } from './log-file.js';

let on: Collecting;
let log: AccessLogWriter;

beforeEach(async () => {
  on = await Collecting.start();
  ({ log } = on);
});

afterEach(() => on.stop());

const newName = (name: string): string => log.path.replace(/access\.log$/, name);

describe('while it looks for its log', () => {
  it.each(['rename', 'copyTruncate', 'compress'] as const)(
    'follows a rotation by %s at that moment',
    async (rotate) => {
      log.append(10);
      await on.run();
      log.append(10);
      if (rotate === 'compress') log.rename();
      const open = LogFile.open.bind(LogFile);
      const opened = vi.spyOn(LogFile, 'open').mockImplementationOnce((path) => {
        log[rotate]();
        return open(path);
      });
      onTestFinished(() => opened.mockRestore());
      await on.run();
      log.append(10);
      await on.run();
      expect(opened).toHaveBeenCalled();
      expect(on.metered).toEqual(on.passed);
    },
  );

  it('follows a truncation between finding it and looking how long it is', async () => {
    log.append(10);
    await on.run();
    log.append(10);
    const { size } = LogFile.prototype;
    const looked = vi.spyOn(LogFile.prototype, 'size').mockImplementationOnce(function (
      this: LogFile,
    ) {
      log.copyTruncate();
      return size.call(this);
    });
    onTestFinished(() => looked.mockRestore());
    await on.run();
    log.append(10);
    await on.run();
    expect(looked).toHaveBeenCalled();
    expect(on.metered).toEqual(on.passed);
  });
});

describe('after a downtime', () => {
  it.each(['access.log-20261122.gz', 'access.log.2.gz', 'access-2026-11-22T07-31-05.123.log.gz'])(
    'finds the rest of a log that is now %s, whatever its time says',
    async (name) => {
      log.append(6_000);
      await on.run();
      log.append(12_000);
      writeFileSync(newName(name), gzipSync(readFileSync(log.path)));
      unlinkSync(log.path);
      log.append(10);
      // Compressed long after the next log was begun.
      const later = new Date(Date.now() + 3_600_000);
      utimesSync(newName(name), later, later);
      await on.run();
      expect(on.metered).toEqual(on.passed);
    },
  );

  it('opens each of many rotated logs a few times, and not all of them for each', async () => {
    log.append(10);
    await on.run();
    const rotations = 60;
    for (let n = 0; n < rotations; n += 1) {
      log.append(10);
      log.rename();
    }
    log.append(10);
    const opened = vi.spyOn(LogFile, 'open');
    onTestFinished(() => opened.mockRestore());
    await on.run();
    expect(on.metered).toEqual(on.passed);
    // To find where it was, each once; then each to see that it is next, and to read it.
    expect(opened.mock.calls.length).toBeLessThan(5 * rotations);
  });

  it('reads what was rotated twice, the copy and the compressed, once', async () => {
    log.append(10);
    await on.run();
    for (let round = 0; round < 3; round += 1) {
      log.append(10);
      log.rename();
      log.append(10);
      log.copyTruncate();
      log.compress();
    }
    log.append(10);
    await on.run();
    await on.run();
    expect(on.metered).toEqual(on.passed);
  });

  it('leaves what was rotated before its first start, also when it is compressed later', async () => {
    const calls = { ...log.calls };
    log.append(10);
    log.rename();
    const before = { ...log.calls };
    log.append(10);
    await on.run();
    log.compress();
    log.rename();
    log.append(10);
    await on.run();
    const committed = on.service.committed('calls', ({ keyId }) => keyId ?? '');
    for (const [key, count] of Object.entries(log.calls)) calls[key] = count - (before[key] ?? 0);
    expect(committed).toEqual(calls);
  });

  it('waits for a compressed log that is still being written', async () => {
    log.append(2_000);
    await on.run();
    log.append(2_000);
    const whole = gzipSync(readFileSync(log.path));
    unlinkSync(log.path);
    log.append(10);
    writeFileSync(newName('access.log.1.gz'), whole.subarray(0, whole.length / 2));
    await expect(on.run()).rejects.toThrow('cannot be unpacked');
    writeFileSync(newName('access.log.1.gz'), whole);
    await on.run();
    expect(on.metered).toEqual(on.passed);
  });

  it('stops when the rest is nowhere', async () => {
    log.append(10);
    await on.run();
    log.append(10);
    unlinkSync(log.path);
    log.append(10);
    await expect(on.run()).rejects.toThrow(CollectStopped);
  });
});

describe('the identity of a log', () => {
  it('is not the inode: a log that is written over is another one', async () => {
    log.append(10);
    await on.run();
    const { ino } = statSync(log.path);
    copyFileSync(log.path, newName('access.log.1'));
    truncateSync(log.path);
    log.append(2_000);
    expect(statSync(log.path).ino).toBe(ino);
    await on.run();
    expect(on.metered).toEqual(on.passed);
    const epochs = new Set([...on.service.batches.keys()].map((number) => number.split('/')[0]));
    expect(epochs.size).toBe(2);
  });

  it('is more than the first line, when each log begins with the same one', async () => {
    const banner = '{"decision":"","msg":"started"}\n';
    for (let round = 0; round < 3; round += 1) {
      appendFileSync(log.path, banner);
      log.append(20);
      await on.run();
      log.copyTruncate();
    }
    appendFileSync(log.path, banner);
    log.append(20);
    await on.run();
    await on.run();
    expect(on.metered).toEqual(on.passed);
  });

  it('stays when a worker writes into the old log after all was read', async () => {
    log.append(10);
    await on.run();
    const old = newName('access.log.9');
    renameSync(log.path, old);
    log.append(10);
    await on.run();
    const late = new AccessLogWriter(old);
    late.append(10);
    log.rename();
    log.append(10);
    await on.run();
    await on.run();
    expect(on.service.committed('calls')).toEqual({ all: log.passed + late.passed });
    expect(on.service.gaps()).toEqual([]);
  });
});

describe('while it follows', () => {
  it('goes on with a log that was emptied without a copy, and says so', async () => {
    const stop = new AbortController();
    const following = on.run({ isOnce: false }, { signal: stop.signal });
    log.append(50);
    await vi.waitFor(() => expect(on.service.committed('calls')).toEqual({ all: 40 }), {
      timeout: 10_000,
    });
    truncateSync(log.path);
    log.append(50);
    await vi.waitFor(() => expect(on.metered).toEqual(on.passed), { timeout: 10_000 });
    stop.abort();
    await following;
    expect(on.said.join()).toMatch(/was emptied and no copy is beside it: all \d+ bytes/);
  });
});
