import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { NestFactory } from '@nestjs/core';
import pg from 'pg';
import { beforeAll, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { afterFile } from '../support/after-file.js';
import { WorkerModule } from '../../apps/worker/src/worker.module.js';
import { build, entryOf, isBuilt } from '../../scripts/build.mjs';
import { startApi, type TestApi } from '../support/api.js';
import { aCatalogue, type Catalogue } from '../support/catalogue.js';

const GATEWAY = fileURLToPath(new URL('../support/websocket-gateway.mjs', import.meta.url));
const MINUTE_MS = 60_000;

let api: TestApi;
let db: pg.Pool;
let key: Catalogue;
let gateway: ChildProcess;
let url: string;

beforeAll(async () => {
  if (!isBuilt()) await build();
  api = await startApi();
  db = new pg.Pool({ connectionString: api.databaseUrl, max: 1 });
  afterFile(() => db.end());
  key = await aCatalogue(api, {
    methods: [
      ['$connect', '/'],
      ['$default', '/'],
    ],
  });
  const { apiId, stage } = key;
  const options = {
    url: api.url,
    token: api.gatewayToken,
    apiId,
    stage,
    deadlineMs: 5_000,
    flushIntervalMs: 50,
  };
  const plugin = join(entryOf('api'), '../../../../libs/gateway-plugin/src/index.js');
  gateway = fork(GATEWAY, [plugin, JSON.stringify(options)], { execArgv: [] });
  afterFile(() => gateway.kill('SIGKILL'));
  const [address] = await once(gateway, 'message');
  url = `ws://127.0.0.1:${address.port}/`;
});

async function connect(): Promise<WebSocket> {
  const socket = new WebSocket(url, { headers: { 'x-api-key': key.apiKey } });
  socket.on('error', () => undefined);
  await once(socket, 'open');
  return socket;
}

interface Life {
  opened_at: Date;
  closed_at: Date | null;
  heartbeat_at: Date;
}

async function lives(): Promise<Life[]> {
  const { rows } = await db.query<Life>(
    `SELECT opened_at, closed_at, heartbeat_at FROM connection JOIN connection_epoch USING (gateway_id, epoch) WHERE key_id = $1`,
    [key.keyId],
  );
  return rows;
}

const minutesOf = ({ opened_at, closed_at, heartbeat_at }: Life): number =>
  Math.max(1, Math.ceil(((closed_at ?? heartbeat_at).getTime() - opened_at.getTime()) / MINUTE_MS));

const sum = (numbers: readonly number[]) => numbers.reduce((total, n) => total + n, 0);

async function rolledUp(): Promise<number> {
  const { rows } = await db.query(
    `SELECT coalesce(sum(quantity), 0)::int AS minutes FROM usage_hour WHERE key_id = $1 AND meter = 'connection-minutes'`,
    [key.keyId],
  );
  return rows[0].minutes;
}

it('kill -9 of a gateway with open WebSockets: their minutes up to its last heartbeat are counted, once', async () => {
  const sockets = await Promise.all([connect(), connect(), connect()]);
  await expect.poll(async () => (await lives()).length, { timeout: 10_000 }).toBe(3);
  sockets.pop()?.close();
  // The account's clock goes on by ten minutes, which the gateway hears with the answer to its next batch.
  const now = Date.now();
  const clock = await api.call('POST', '/v1/test-clock', {
    body: { now: new Date(now + 10 * MINUTE_MS).toISOString() },
  });
  expect(clock.status).toBeLessThan(300);
  await expect
    .poll(
      async () => {
        sockets[0]?.send('hello');
        return (await lives()).every(
          ({ heartbeat_at }) => heartbeat_at.getTime() >= now + 10 * MINUTE_MS,
        );
      },
      { timeout: 20_000, interval: 200 },
    )
    .toBe(true);
  const exited = once(gateway, 'exit');
  gateway.kill('SIGKILL');
  await exited;

  const ended = await lives();
  const expected = ended.map(minutesOf).toSorted((a, b) => a - b);
  expect(expected[0]).toBe(1);
  expect(expected.slice(1).every((minutes) => minutes >= 10 && minutes <= 12)).toBe(true);
  await db.query(`UPDATE connection_epoch SET heard_at = heard_at - interval '3 minutes'`);
  const workers = await Promise.all(
    [0, 1].map(() => NestFactory.createApplicationContext(WorkerModule, { logger: false })),
  );
  afterFile(() => Promise.all(workers.map((worker) => worker.close())));
  await expect.poll(rolledUp, { timeout: 30_000 }).toBe(sum(expected));
  const { rows } = await db.query('SELECT swept_at FROM connection_epoch WHERE swept_at IS NULL');
  expect(rows).toEqual([]);
}, 60_000);
