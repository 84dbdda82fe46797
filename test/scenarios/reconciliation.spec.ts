import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeAll, expect, it, onTestFinished } from 'vitest';
import { afterFile } from '../support/after-file.js';
import { collectOnce } from '../support/collecting.js';
import { controlPlane } from '../support/control-plane.js';
import { createTestDatabase } from '../support/database.js';
import { startNginx } from '../support/nginx.js';
import { AppProcess, GATEWAY_TOKEN } from '../support/processes.js';
import { describeWith } from '../support/services.js';

const POLL = { timeout: 60_000, interval: 200 };
/** Within an hour, so that the calls of the test are all of one. */
const NOW = '2027-01-10T12:20:00Z';
const HOUR = { from: '2027-01-10T12:00:00Z', to: '2027-01-10T13:00:00Z' };

let api: AppProcess;

beforeAll(async () => {
  const databaseUrl = await createTestDatabase();
  api = await AppProcess.start('api', databaseUrl);
  afterFile(() => api.stop());
  const worker = await AppProcess.start('worker', databaseUrl);
  afterFile(() => worker.stop());
  await api.http.call('POST', '/v1/test-clock', { body: { now: NOW } });
});

async function aSubscriber() {
  const create = controlPlane(api.http);
  const apiStage = await create.apiStage();
  const { id: usagePlanId } = await create.usagePlan({ apiStages: [apiStage] });
  const { id: keyId, value } = await create.apiKey();
  await api.http.call('POST', `/v1/usage-plans/${usagePlanId}/keys`, { body: { keyId } });
  return { ...apiStage, keyId: String(keyId), apiKey: String(value) };
}

async function reconciled() {
  const query = new URLSearchParams(HOUR).toString();
  return (await api.http.call('GET', `/v1/usage/reconciliation?${query}`)).body;
}

describeWith('nginx', 'reconciliation behind nginx', () => {
  it('names exactly the call that the log lost and the one that it invented', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'tollgate-reconcile-'));
    onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
    const application = createServer((_, response) => response.end('a pet')).listen(0, '127.0.0.1');
    await once(application, 'listening');
    onTestFinished(() => void application.close());
    const [lost, invented, whole] = [await aSubscriber(), await aSubscriber(), await aSubscriber()];
    const log = join(folder, 'collected.log');
    let lines: string[] = [];
    for (const { apiId, stage, apiKey } of [lost, invented, whole]) {
      const nginx = await startNginx({
        tollgateAddress: new URL(api.url).host,
        gatewayToken: GATEWAY_TOKEN,
        // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- a TCP server's address is an AddressInfo
        applicationAddress: `127.0.0.1:${(application.address() as AddressInfo).port}`,
        apiId,
        stage,
        deadline: '5s',
      });
      for (let n = 0; n < 20; n += 1) {
        const answer = await fetch(`${nginx.url}/pets/${n}`, { headers: { 'x-api-key': apiKey } });
        expect([answer.status, await answer.text()]).toEqual([200, 'a pet']);
      }
      const written = () => readFileSync(nginx.accessLog, 'utf8').split('\n').filter(Boolean);
      await expect.poll(written, POLL).toHaveLength(20);
      lines = [...lines, ...written()];
      await nginx.stop();
    }
    const lineOf = ({ keyId }: { keyId: string }) =>
      lines.findIndex((line) => line.includes(`"${keyId}"`));
    const extra = lines[lineOf(invented)] ?? '';
    lines.splice(lineOf(lost), 1);
    writeFileSync(log, [...lines, extra, ''].join('\n'));
    await collectOnce({ log, service: { url: api.url, token: GATEWAY_TOKEN } });

    const counts = async () => {
      const { allowed, metered } = await reconciled();
      return { allowed, metered };
    };
    await expect.poll(counts, POLL).toEqual({ allowed: '60', metered: '60' });
    const { items, mismatches } = await reconciled();
    const differing = (items as Record<string, string>[]).map((item) => [
      item['keyId'],
      item['kind'],
      item['allowed'],
      item['metered'],
      item['difference'],
    ]);
    expect(mismatches).toBe(2);
    expect(differing).toHaveLength(2);
    expect(differing).toEqual(
      expect.arrayContaining([
        [lost.keyId, 'allowed-but-unmetered', '20', '19', '1'],
        [invented.keyId, 'metered-but-never-allowed', '20', '21', '1'],
      ]),
    );
  });
});
