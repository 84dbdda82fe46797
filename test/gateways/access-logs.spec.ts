import {
  copyFileSync,
  existsSync,
  readFileSync,
  readdirSync,
  renameSync,
  truncateSync,
} from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gunzipSync } from 'node:zlib';
import pg from 'pg';
import { beforeAll, describe, expect, it, onTestFinished, vi } from 'vitest';
import { afterFile } from '../support/after-file.js';
import { PRESETS } from '../../apps/cli/src/collect/log-format.js';
import { startApi, type TestApi } from '../support/api.js';
import { collectOnce } from '../support/collecting.js';
import { freePort } from '../../scripts/free-port.mjs';
import { startNginx } from '../support/nginx.js';
import { startProgram } from '../support/program.js';
import { callRaw } from '../support/raw-http.js';
import { describeWith } from '../support/services.js';
import { Subject, type SubjectKey } from './conformance/subject.js';
import { Upstream } from './conformance/upstream.js';

const GATEWAYS = fileURLToPath(new URL('../../gateways', import.meta.url));

/** A real gateway with the shipped configuration and the log that it writes. */
interface LoggingGateway {
  readonly url: string;
  readonly log: string;
  /** Puts the log aside as it is done with this gateway, and tells how many calls that took: Caddy does so itself at 1 MiB. */
  rotate(): Promise<number>;
  stop(): Promise<void>;
}

let api: TestApi;
let upstream: Upstream;
let subject: Subject;

beforeAll(async () => {
  api = await startApi();
  upstream = await Upstream.start();
  afterFile(() => upstream.stop());
  subject = await Subject.make({ url: api.url, operatorToken: api.ownerToken });
});

const call = (gateway: LoggingGateway, target: string, key?: string, method = 'GET') =>
  callRaw(gateway.url, {
    target,
    method,
    fields: key === undefined ? [] : [['X-Api-Key', key]],
  });

/** Lines of the log, or of all that was made of it. */
function linesOf(folder: string): string[] {
  return readdirSync(folder)
    .filter((name) => name.startsWith('access') && !name.includes('tollgate'))
    .map((name) => readFileSync(join(folder, name)))
    .flatMap((bytes) => (bytes[0] === 0x1f ? gunzipSync(bytes) : bytes).toString().split('\n'))
    .filter((line) => line !== '');
}

const starters: Record<string, (folder: string) => Promise<LoggingGateway>> = {
  nginx: async (folder) => {
    const log = join(folder, 'access.log');
    const nginx = await startNginx({
      tollgateAddress: new URL(api.url).host,
      gatewayToken: api.gatewayToken,
      apiId: subject.apiId,
      stage: subject.stage,
      applicationAddress: upstream.address,
      deadline: '5s',
      accessLog: log,
    });
    const rotate = async (): Promise<number> => {
      renameSync(log, `${log}.1`);
      nginx.reopenLogs();
      await vi.waitFor(() => expect(existsSync(log)).toBe(true), { timeout: 10_000 });
      return 0;
    };
    return { url: nginx.url, log, rotate, stop: () => nginx.stop() };
  },
  haproxy: async (folder) => {
    const log = join(folder, 'access.log');
    const port = await freePort();
    const config = join(GATEWAYS, 'haproxy');
    const program = await startProgram({
      name: 'sh',
      args: ['-c', `PATH="$PATH:/usr/sbin" exec haproxy -db -f ${config}/haproxy.cfg >> ${log}`],
      environment: {
        ...settings(),
        TOLLGATE_LUA: join(config, 'tollgate.lua'),
        TOLLGATE_SOCKET: `tollgate-${port}`,
        LISTEN: `127.0.0.1:${port}`,
      },
      port,
    });
    const rotate = async (): Promise<number> => {
      copyFileSync(log, `${log}.1`);
      truncateSync(log);
      return 0;
    };
    return { url: `http://127.0.0.1:${port}`, log, rotate, stop: () => program.stop() };
  },
  caddy: async (folder) => {
    const log = join(folder, 'access.log');
    const port = await freePort();
    const program = await startProgram({
      name: 'caddy',
      args: ['run', '--config', join(GATEWAYS, 'caddy/Caddyfile'), '--adapter', 'caddyfile'],
      environment: {
        ...settings(),
        HOME: folder,
        CADDY_ADMIN: 'off',
        LISTEN: `http://:${port}`,
        ACCESS_LOG: log,
        ACCESS_LOG_ROLL_SIZE: '1MiB',
      },
      port,
    });
    const url = `http://127.0.0.1:${port}`;
    const rotate = async (): Promise<number> => {
      const isRolled = (): boolean =>
        readdirSync(folder).some((name) => /^access-\d.*\.log/.test(name));
      // Refused, so that they are in the log and in no sum.
      let refused = 0;
      for (; !isRolled(); refused += 1)
        await callRaw(url, { target: `/pets/${'x'.repeat(4_000)}` });
      return refused;
    };
    return { url, log, rotate, stop: () => program.stop() };
  },
};

const settings = () => ({
  TOLLGATE_ADDRESS: new URL(api.url).host,
  TOLLGATE_GATEWAY_TOKEN: api.gatewayToken,
  TOLLGATE_API_ID: subject.apiId,
  TOLLGATE_STAGE: subject.stage,
  TOLLGATE_DEADLINE: '5s',
  TOLLGATE_ON_FAILURE: 'deny',
  APPLICATION_ADDRESS: upstream.address,
});

/** What the service has for a key, by status class. */
async function metered({ id }: SubjectKey, meter: string): Promise<Record<string, number>> {
  const db = new pg.Client(api.databaseUrl);
  await db.connect();
  try {
    const { rows } = await db.query<{ of: string; sum: string }>(
      `SELECT method || ' ' || resource_path || ' ' || status_class AS of, sum(quantity)
       FROM usage_record WHERE key_id = $1 AND meter = $2 GROUP BY 1`,
      [id, meter],
    );
    return Object.fromEntries(rows.map(({ of, sum }) => [of, Number(sum)]));
  } finally {
    await db.end();
  }
}

describe.each(Object.keys(starters))('the access log of %s', (name) => {
  describeWith(name, 'as the shipped configuration writes it', () => {
    it('is metered across a rotation: calls that passed, whatever became of them, and no other', async () => {
      const folder = await mkdtemp(join(tmpdir(), `tollgate-${name}-log-`));
      onTestFinished(() => rm(folder, { recursive: true, force: true }));
      const gateway = await starters[name]!(folder);
      let isUp = true;
      onTestFinished(async () => {
        if (isUp) await gateway.stop();
      });
      const good = await subject.key();
      const slow = await subject.key({ throttle: { rateLimit: 0.001, burstLimit: 1 } });
      const format = PRESETS[name]!;
      let calls = 0;
      const collectAll = async (): Promise<void> => {
        // A gateway writes the line after the answer.
        await vi.waitFor(() => expect(linesOf(folder).length).toBeGreaterThanOrEqual(calls), {
          timeout: 10_000,
        });
        await collectOnce({
          log: gateway.log,
          service: { url: api.url, token: api.gatewayToken },
          options: { format },
        });
      };
      const ask = async (...asked: [target: string, key?: string, method?: string]) => {
        calls += 1;
        return (await call(gateway, ...asked)).status;
      };

      for (let index = 0; index < 5; index += 1) await ask(`/pets/${index}?a=b`, good.value);
      await ask('/pets/"quoted"', good.value, 'DELETE');
      expect(await ask('/status/500', good.value)).toBe(500);
      expect(await ask('/pets')).toBe(403);
      expect(await ask('/pets', subject.unknownKey())).toBe(403);
      expect([await ask('/pets', slow.value), await ask('/pets', slow.value)]).toEqual([200, 429]);
      await collectAll();
      for (let index = 0; index < 3; index += 1) await ask('/pets/7', good.value);
      calls += await gateway.rotate();
      for (let index = 0; index < 4; index += 1) await ask('/pets/8', good.value);
      await upstream.whileGone(async () => {
        expect(await ask('/pets', good.value)).toBeGreaterThanOrEqual(502);
      });
      await collectAll();
      await collectAll();
      await gateway.stop();
      isUp = false;

      expect(await metered(good, 'calls')).toEqual({
        'GET /pets/{petId} 2xx': 5 + 3 + 4,
        'DELETE /pets/{petId} 2xx': 1,
        'GET /status/{code} 5xx': 1,
        'GET /pets 5xx': 1,
      });
      expect(await metered(slow, 'calls')).toEqual({ 'GET /pets 2xx': 1 });
      expect((await metered(slow, 'bytes-out'))['GET /pets 2xx']).toBeGreaterThanOrEqual(20);
      expect(existsSync(`${gateway.log}.tollgate-set-aside`)).toBe(false);
      // Keys and queries are in no log.
      expect(linesOf(folder).filter((line) => line.includes(good.value))).toEqual([]);
      expect(linesOf(folder).filter((line) => line.includes('a=b'))).toEqual([]);
    });
  });
});
