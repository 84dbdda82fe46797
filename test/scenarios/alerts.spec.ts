import { spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { NestFactory } from '@nestjs/core';
import { beforeAll, expect, it, onTestFinished, vi } from 'vitest';
import { afterFile } from '../support/after-file.js';
import { freePort } from '../../scripts/free-port.mjs';
import { WorkerModule } from '../../apps/worker/src/worker.module.js';
import { startApi, type TestApi } from '../support/api.js';
import { aCatalogue } from '../support/catalogue.js';

const root = fileURLToPath(new URL('../..', import.meta.url));
const POLL = { timeout: 60_000, interval: 100 };

let api: TestApi;
let home: string;
let catalogue: Awaited<ReturnType<typeof aCatalogue>>;

beforeAll(async () => {
  home = mkdtempSync(join(tmpdir(), 'tollgate-alerts-'));
  afterFile(() => rmSync(home, { recursive: true, force: true }));
  api = await startApi({
    TOLLGATE_HOME: home,
    EGRESS_ALLOW_HTTP: 'on',
    EGRESS_PORTS: 'any',
    EGRESS_ALLOW_CIDRS: '127.0.0.0/8',
  });
  catalogue = await aCatalogue(api, { quota: { limit: 10, period: 'MONTH' } });
  const worker = await NestFactory.createApplicationContext(WorkerModule, { logger: false });
  afterFile(() => worker.close());
});

const post = async (path: string, body: unknown, token = api.ownerToken) => {
  const answer = await api.call('POST', path, { body, token });
  expect(answer).toMatchObject({ status: 201 });
  return answer.body;
};

/** Runs the receiver of docs/webhooks.md as it stands there, and answers what it has written. */
function runReceiver(secret: string, port: number): { lines: () => string[] } {
  const text = readFileSync(join(root, 'docs/webhooks.md'), 'utf8');
  const [, code = ''] = /```js\n(.*?)```/s.exec(text) ?? [];
  // Beside node_modules, where it finds the library.
  const file = join(root, `.receiver-${process.pid}.mjs`);
  writeFileSync(file, code);
  const env = { ...process.env, WEBHOOK_SECRET: secret, PORT: String(port) };
  const child = spawn(process.execPath, [file], { env, stdio: ['ignore', 'pipe', 'inherit'] });
  let output = '';
  child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
  onTestFinished(() => {
    child.kill('SIGKILL');
    rmSync(file, { force: true });
  });
  return { lines: () => output.split('\n').filter(Boolean) };
}

let sequence = 0;
async function use(calls: number): Promise<void> {
  const { keyId, apiId, stage } = catalogue;
  const at = new Date(Date.now() - 1_000).toISOString();
  const record = {
    at,
    keyId,
    apiId,
    stage,
    method: 'GET',
    resourcePath: '/pets',
    statusClass: '2xx',
  };
  const records = [{ ...record, quantities: { calls: String(calls) } }];
  await post('/v1/usage/batches', { epoch: 'e', sequence, records }, api.gatewayToken);
  sequence += 1;
}

it('a gateway reports usage near a quota: the receiver of the documents and a mailbox are told once', async () => {
  const port = await freePort();
  const url = `http://127.0.0.1:${port}/hooks`;
  const { secret, id } = await post('/v1/webhook-endpoints', { url });
  const receiver = runReceiver(secret as string, port);
  // The first attempt may come before the receiver listens; then the second is five seconds later.
  const { eventId } = await post(`/v1/webhook-endpoints/${id}/test-events`, undefined);
  await expect.poll(receiver.lines, POLL).toEqual([`webhook-endpoint.test ${eventId}`]);

  const rule = await post('/v1/alert-rules', {
    name: 'Near the quota',
    measure: 'quota-percent',
    thresholds: ['80', '100'],
    recipients: [{ email: 'ada@example.com' }],
  });
  await use(7);
  await use(1);
  const crossings = `/v1/alert-rules/${rule['id']}/crossings`;
  const thresholds = async () =>
    (await api.call('GET', crossings)).body['items'].map(
      ({ threshold }: { threshold: string }) => threshold,
    );
  await expect.poll(thresholds, POLL).toEqual(['80']);
  await expect.poll(() => receiver.lines().length, POLL).toBe(2);
  await use(2);
  await expect.poll(thresholds, POLL).toEqual(['100', '80']);
  await vi.waitFor(() => expect(receiver.lines()).toHaveLength(3), POLL);
  expect(
    receiver
      .lines()
      .slice(1)
      .every((line) => line.startsWith('usage.alert.crossed ')),
  ).toBe(true);
  await expect.poll(() => readdirSync(join(home, 'mail')).length, POLL).toBe(2);
  const mails = readdirSync(join(home, 'mail')).map((name) =>
    readFileSync(join(home, 'mail', name), 'utf8'),
  );
  expect(
    mails.some((mail) => mail.includes('Subject: Near the quota: 80 % of the quota reached')),
  ).toBe(true);
  const delivered = async () =>
    (await api.call('GET', `/v1/webhook-endpoints/${id}/deliveries?status=delivered`)).body['items']
      .length;
  // Written down once the receiver has answered.
  await expect.poll(delivered, POLL).toBe(3);
});
