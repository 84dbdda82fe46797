import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { readPlainBatch } from '@core/metering';
import { StandInService } from '../../../../test/support/stand-in-service.js';
import { writeDurably } from './batch-store.js';
import { DecisionLog } from './decision-log.js';
import { epochOf, newEpoch } from './epoch.js';
import type { TollgateEvent } from '../events.js';
import { ServiceClient } from '../service/service-client.js';
import { UsageReporter } from './usage-reporter.js';
import { batchBody, UsageAggregator, type MeteredCall, type UsageRecord } from './usage.js';

let service: StandInService;
let events: TollgateEvent[];
let folder: string;
const reporters: UsageReporter[] = [];

beforeEach(async () => {
  service = await StandInService.start();
  events = [];
  folder = await mkdtemp(join(tmpdir(), 'tollgate-spool-'));
});

afterEach(async () => {
  await Promise.all(reporters.splice(0).map((reporter) => reporter.close(1)));
  await service.stop();
  await rm(folder, { recursive: true });
});

function aReporter(options: { spoolDir?: string; token?: string } = {}): UsageReporter {
  const { token = service.token, spoolDir } = options;
  const reporter = new UsageReporter({
    client: new ServiceClient({ url: service.url, token }),
    onEvent: (event) => events.push(event),
    place: { apiId: 'petstore01', stage: 'prod' },
    intervalMs: 20,
    spoolDir,
  });
  reporters.push(reporter);
  return reporter;
}

function aCall(overrides: Partial<MeteredCall> = {}): MeteredCall {
  return {
    at: Date.parse('2026-11-22T07:31:00Z'),
    keyId: 'key1',
    apiId: 'petstore01',
    stage: 'prod',
    method: 'GET',
    resourcePath: '/pets',
    status: 200,
    bytesOut: 100,
    protocol: 'REST',
    ...overrides,
  };
}

const RECORD: UsageRecord = {
  at: '2026-11-22T07:31:00Z',
  keyId: 'key1',
  apiId: 'petstore01',
  stage: 'prod',
  method: 'GET',
  resourcePath: '/pets',
  statusClass: '2xx',
  quantities: { calls: '7', 'bytes-out': '0' },
};

describe('UsageReporter', () => {
  it('sends what the service reads from its bytes, whatever it tells but connections', () => {
    const aggregator = new UsageAggregator();
    for (const protocol of ['REST', 'HTTP'] as const)
      for (const [n, keyId] of ['key1', 'key2'].entries())
        aggregator.add(aCall({ protocol, keyId, decisionId: `dec_a1b2c3d40000000${n}` }));
    aggregator.add({ ...aCall(), protocol: 'WEBSOCKET', messages: 3 });
    const log = new DecisionLog({ apiId: 'petstore01', stage: 'prod' }, () => performance.now());
    log.add({ at: Date.now(), keyId: 'key1', method: 'GET', resourcePath: '/pets' });
    const records = aggregator.take(100);
    const decisions = log.take();
    const body = batchBody(newEpoch(Date.now()), 0, records, { decisions });
    const read = readPlainBatch(new TextEncoder().encode(body), () => undefined);
    expect(read).toMatchObject({ sequence: 0, quantityCount: 11, decisions: [{ allowed: 1 }] });
    expect(read?.instants).toHaveLength(5);
    expect(read?.decided).toHaveLength(4);
  });

  it('numbers batches from 0 without a gap', async () => {
    const reporter = aReporter();
    for (let batch = 0; batch < 5; batch += 1) {
      reporter.record(aCall());
      await reporter.flush();
    }
    const sequences = [...service.batches.keys()].map((key) => key.split('/')[1]);
    expect(sequences).toEqual(['0', '1', '2', '3', '4']);
    expect(service.committed('calls')).toEqual({ all: 5 });
  });

  it('counts once what was committed without the answer arriving', async () => {
    const reporter = aReporter();
    service.fault = 'drop-answer';
    reporter.record(aCall());
    const flushed = reporter.flush();
    await vi.waitFor(() => expect(events[0]).toMatchObject({ type: 'batch-delayed' }));
    service.fault = 'none';
    await flushed;
    expect(service.answers.at(-1)).toMatchObject({ status: 200 });
    expect(service.committed('calls')).toEqual({ all: 1 });
  });

  it('merges what comes during an outage instead of piling up batches', async () => {
    const reporter = aReporter();
    service.fault = 'error';
    reporter.record(aCall());
    await vi.waitFor(() => expect(events.length).toBeGreaterThan(1));
    for (let call = 0; call < 10_000; call += 1) reporter.record(aCall());
    service.fault = 'none';
    await reporter.flush();
    expect(service.batches.size).toBe(2);
    expect(service.committed('calls')).toEqual({ all: 10_001 });
  });

  it('waits for an operator to mend a wrong token', async () => {
    const reporter = aReporter({ token: 'wrong' });
    reporter.record(aCall());
    await vi.waitFor(() =>
      expect(events).toContainEqual(
        expect.objectContaining({ type: 'batch-delayed', cause: 'HTTP 401' }),
      ),
    );
    expect(events.some(({ type }) => type === 'batch-refused')).toBe(false);
  });

  it('tells of a refused batch with its content, leaves its number a gap and goes on', async () => {
    const reporter = aReporter();
    reporter.record(aCall({ keyId: 'key1' }));
    await reporter.flush();
    reporter.record(aCall({ at: Number.MAX_SAFE_INTEGER / 2 }));
    await reporter.flush();
    reporter.record(aCall());
    await reporter.flush();
    expect(events).toContainEqual(expect.objectContaining({ type: 'batch-refused', sequence: 1 }));
    expect(service.gaps()).toHaveLength(1);
    expect(service.committed('calls')).toEqual({ all: 2 });
  });

  it('tells what the service quarantined, also when it hears of it late', async () => {
    const reporter = aReporter();
    service.unknownKeys.add('key1');
    reporter.record(aCall({ keyId: 'key1' }));
    reporter.record(aCall({ keyId: 'key2' }));
    service.fault = 'drop-answer';
    const flushed = reporter.flush();
    await vi.waitFor(() => expect(events[0]).toMatchObject({ type: 'batch-delayed' }));
    service.fault = 'none';
    await flushed;
    expect(events.filter(({ type }) => type === 'usage-quarantined')).toEqual([
      {
        type: 'usage-quarantined',
        epoch: expect.any(String),
        sequence: 0,
        records: 1,
        reasons: ['/records/0/keyId is not an API key of this account'],
      },
    ]);
    expect(service.gaps()).toEqual([]);
  });

  it('closes with what is open, and says what it could not send', async () => {
    const sent = aReporter();
    sent.record(aCall());
    await sent.close(1_000);
    expect(service.committed('calls')).toEqual({ all: 1 });
    service.fault = 'hang';
    const unsent = aReporter();
    unsent.record(aCall());
    await unsent.close(30);
    expect(events.at(-1)).toMatchObject({ type: 'usage-unsent', isSpooled: false });
  });
});

describe('UsageReporter with a spool', () => {
  it('sends what an earlier process left, in order and to the byte, then its own', async () => {
    const epoch = newEpoch(Date.parse('2026-11-22T07:00:00Z'));
    const bodies = [0, 1, 2].map((sequence) => batchBody(epoch, sequence, [RECORD]));
    service.batches.set(`${epoch}/0`, bodies[0]!);
    for (const [sequence, body] of bodies.entries()) {
      await writeDurably(join(folder, `${epoch}-000000000${sequence}.json`), body);
    }
    const reporter = aReporter({ spoolDir: folder });
    reporter.record(aCall());
    await reporter.flush();
    expect([...service.batches.values()].slice(0, 3)).toEqual(bodies);
    expect(service.committed('calls')).toEqual({ all: 3 * 7 + 1 });
    expect(await readdir(folder)).toEqual([]);
  });

  it('puts usage on disk while the service is away, and says so when it closes', async () => {
    service.fault = 'error';
    const reporter = aReporter({ spoolDir: folder });
    for (const minute of [1, 2, 3]) {
      reporter.record(aCall({ at: minute * 60_000 }));
      await vi.waitFor(async () => expect(await readdir(folder)).toHaveLength(minute));
    }
    await reporter.close(1);
    expect(events.at(-1)).toMatchObject({ type: 'usage-unsent', records: 0, isSpooled: true });
    service.fault = 'none';
    await aReporter({ spoolDir: folder }).flush();
    expect(service.committed('calls')).toEqual({ all: 3 });
    expect(service.gaps()).toEqual([]);
  });

  it('keeps a batch that the service will never take', async () => {
    const epoch = epochOf('other content');
    service.batches.set(`${epoch}/0`, 'something else');
    await writeDurably(join(folder, `${epoch}-0000000000.json`), batchBody(epoch, 0, [RECORD]));
    await aReporter({ spoolDir: folder }).flush();
    expect(events).toContainEqual(expect.objectContaining({ type: 'batch-conflict', sequence: 0 }));
    expect(await readdir(folder)).toEqual([`${epoch}-0000000000.json.refused`]);
  });

  it('keeps usage in memory while the folder cannot be written', async () => {
    const path = join(folder, 'a-file');
    await writeDurably(path, '');
    const reporter = aReporter({ spoolDir: path });
    reporter.record(aCall());
    await vi.waitFor(() =>
      expect(events).toContainEqual(expect.objectContaining({ type: 'spool-failed' })),
    );
    await rm(path);
    await reporter.flush();
    expect(service.committed('calls')).toEqual({ all: 1 });
  });
});

describe('epochs', () => {
  it('sort by the start of the process', () => {
    const epochs = [1, 1_000, 1_764_000_000_000].map(newEpoch);
    expect(epochs.toSorted()).toEqual(epochs);
    expect(epochs.every((epoch) => /^[0-7][0-9A-HJKMNP-TV-Z]{25}$/.test(epoch))).toBe(true);
  });

  it('of a thing are the same each time and differ from another’s', () => {
    expect(epochOf('a')).toBe(epochOf('a'));
    expect(epochOf('a')).not.toBe(epochOf('b'));
  });
});
