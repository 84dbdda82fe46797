import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { Agent, createServer, request as httpRequest, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { createTollgate } from '@core/gateway-plugin';
import { beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { afterFile } from '../support/after-file.js';
import { entryOf } from '../../scripts/build.mjs';
import { controlPlane } from '../support/control-plane.js';
import { createTestDatabase } from '../support/database.js';
import { startNginx } from '../support/nginx.js';
import { AppProcess, GATEWAY_TOKEN } from '../support/processes.js';
import { describeWith } from '../support/services.js';

const POLL = { timeout: 60_000, interval: 200 };
/** A month's tenth, so that neither the test's own time nor its calls come near the end of a period. */
const NOW = '2027-01-10T12:00:00Z';
const MONTH = { from: '2027-01-01T00:00:00Z', to: '2027-02-01T00:00:00Z' };
const AFTER_MONTH = '2027-02-01T00:00:05Z';

let api: AppProcess;
let application: Server;
let served = 0;

beforeAll(async () => {
  const databaseUrl = await createTestDatabase();
  api = await AppProcess.start('api', databaseUrl);
  afterFile(() => api.stop());
  const worker = await AppProcess.start('worker', databaseUrl);
  afterFile(() => worker.stop());
  application = createServer((_, response) => {
    served += 1;
    response.end('a pet');
  });
  await new Promise<void>((resolve) => application.listen(0, '127.0.0.1', resolve));
  afterFile(() => application.close());
  await api.http.call('POST', '/v1/test-clock', { body: { now: NOW } });
});

const portOf = (server: Server): number => (server.address() as AddressInfo).port;

/** A customer who pays a cent per thousand calls, with a key in a plan. */
async function aSubscriber(plan: Record<string, unknown>) {
  const create = controlPlane(api.http);
  const apiStage = await create.apiStage();
  const { id: usagePlanId } = await create.usagePlan({ apiStages: [apiStage], ...plan });
  const { id: keyId, value, customerId } = await create.apiKey();
  await api.http.call('POST', `/v1/usage-plans/${usagePlanId}/keys`, { body: { keyId } });
  const { id: rateCardId } = await create.rateCard([
    {
      meter: 'calls',
      protocol: 'REST',
      description: 'Calls',
      price: { model: 'per-unit', unitAmount: '0.01' },
    },
  ]);
  await create.subscription({ customerId, usagePlanId, rateCardId, startsAt: MONTH.from });
  return {
    ...apiStage,
    apiKey: String(value),
    keyId: String(keyId),
    customerId: String(customerId),
  };
}

/** One call through a gateway: its status; 0 when there was no answer. */
function call(port: number, apiKey: string, agent: Agent): Promise<number> {
  return new Promise((resolve) => {
    const headers = { 'x-api-key': apiKey };
    httpRequest({ host: '127.0.0.1', port, path: '/pets', agent, headers }, (response) => {
      response.resume().on('end', () => resolve(response.statusCode ?? 0));
    })
      .on('error', () => resolve(0))
      .end();
  });
}

/** How many of so many calls passed, a few at a time. */
async function passed(port: number, apiKey: string, calls: number): Promise<number> {
  const agent = new Agent({ keepAlive: true, maxSockets: 8 });
  const statuses = await Promise.all(
    Array.from({ length: calls }, () => call(port, apiKey, agent)),
  );
  agent.destroy();
  return statuses.filter((status) => status === 200).length;
}

/** What `GET /v1/usage` answers for the month. */
async function metered(keyId: string): Promise<number> {
  const query = new URLSearchParams({ ...MONTH, interval: 'month', keyId, meter: 'calls' });
  const { body } = await api.http.call('GET', `/v1/usage?${query.toString()}`);
  const items = body['items'] as { quantity: string }[];
  return items.reduce((sum, { quantity }) => sum + Number(quantity), 0);
}

/** The finalised invoice of the month, once the clock is past it. */
async function invoiced(customerId: string) {
  const list = async () => {
    const { body } = await api.http.call('GET', `/v1/invoices?customerId=${customerId}`);
    return body['items'] as { id: string }[];
  };
  await expect.poll(list, POLL).toHaveLength(1);
  const [draft] = await list();
  const { status, body } = await api.http.call('POST', `/v1/invoices/${draft?.id}/finalise`);
  if (status !== 200) throw new Error(JSON.stringify(body));
  const lines = body['lines'] as { meter: string; quantity: string }[];
  const calls = lines.filter(({ meter }) => meter === 'calls');
  return {
    calls: calls.reduce((sum, { quantity }) => sum + Number(quantity), 0),
    cents: body['total'].minor as string,
  };
}

function collect(log: string): ChildProcess {
  const environment = { TOLLGATE_URL: api.url, TOLLGATE_GATEWAY_TOKEN: GATEWAY_TOKEN };
  return fork(entryOf('cli'), ['collect', log, '--interval', '100'], {
    env: { ...environment, PATH: process.env['PATH'] ?? '' },
    execArgv: [],
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  });
}

const aFolder = (): string => {
  const folder = mkdtempSync(join(tmpdir(), 'tollgate-loop-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
};

describe('the Node plugin', () => {
  it('meters exactly the calls that passed, though the api is killed in between', async () => {
    const subscriber = await aSubscriber({});
    const { apiKey, apiId, stage, keyId } = subscriber;
    const tollgate = createTollgate({
      url: api.url,
      token: GATEWAY_TOKEN,
      apiId,
      stage,
      deadlineMs: 5_000,
      flushIntervalMs: 50,
      spoolDir: aFolder(),
      closeTimeoutMs: 30_000,
      onEvent: () => undefined,
    });
    const gateway = createServer(tollgate.node((_, response) => response.end('a pet')));
    await new Promise<void>((resolve) => gateway.listen(0, '127.0.0.1', resolve));
    const port = portOf(gateway);
    let through = await passed(port, apiKey, 200);
    expect(through).toBe(200);
    const meanwhile = passed(port, apiKey, 400);
    await sleep(20);
    await api.kill();
    through += await meanwhile;
    await api.start();
    for (let again = 0; again < 200;) {
      const now = await passed(port, apiKey, 50);
      through += now;
      again += now;
    }
    gateway.close();
    gateway.closeAllConnections();
    await tollgate.close();
    await expect.poll(() => metered(keyId), POLL).toBe(through);
    expect(tollgate.stats()).toMatchObject({ allowed: through, unmetered: 0 });
  });
});

describeWith('nginx', 'nginx with the shipped configuration', () => {
  it('lets burst + rate x seconds of 1,000 calls pass, which are the calls metered and invoiced', async () => {
    const throttle = { rateLimit: 5, burstLimit: 10 };
    const { apiKey, apiId, stage, keyId, customerId } = await aSubscriber({ throttle });
    const nginx = await startNginx({
      tollgateAddress: new URL(api.url).host,
      gatewayToken: GATEWAY_TOKEN,
      applicationAddress: `127.0.0.1:${portOf(application)}`,
      apiId,
      stage,
      deadline: '5s',
      accessLog: join(aFolder(), 'access.log'),
    });
    onTestFinished(() => nginx.stop());
    const collector = collect(nginx.accessLog);
    const ended = once(collector, 'exit');
    onTestFinished(async () => {
      collector.kill('SIGTERM');
      await ended;
    });

    served = 0;
    const start = performance.now();
    const through = await passed(nginx.port, apiKey, 1_000);
    const seconds = (performance.now() - start) / 1_000;
    expect(through).toBe(served);
    expect(through).toBeGreaterThanOrEqual(throttle.burstLimit);
    expect(through).toBeLessThanOrEqual(throttle.burstLimit + throttle.rateLimit * seconds);

    await expect.poll(() => metered(keyId), POLL).toBe(through);
    await api.http.call('POST', '/v1/test-clock', { body: { now: AFTER_MONTH } });
    expect(await invoiced(customerId)).toEqual({ calls: through, cents: String(through) });
    expect(await metered(keyId)).toBe(through);
  });
});
