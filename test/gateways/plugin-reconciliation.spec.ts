import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createTollgate } from '@core/gateway-plugin';
import { DecisionCounts } from '@io/limits';
import { UsageService } from '@io/metering';
import { expect, it } from 'vitest';
import { startApi } from '../support/api.js';
import { aCatalogue } from '../support/catalogue.js';

const HOUR_MS = 3_600_000;

it('calls that the Node plugin decides on are counted apart from those that it meters, and lead to their record by the id', async () => {
  const api = await startApi();
  const { apiId, stage, apiKey, keyId, accountId } = await aCatalogue(api);
  const tollgate = createTollgate({
    url: api.url,
    token: api.gatewayToken,
    apiId,
    stage,
    decisionIds: true,
  });
  const unanswered: ServerResponse[] = [];
  const decisionIds: string[] = [];
  const server = createServer(
    tollgate.node(({ url, headers }, response) => {
      decisionIds.push(String(headers['x-tollgate-decision-id']));
      if (url === '/pets?wait') unanswered.push(response);
      else response.end('ok');
    }),
  );
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- a TCP server's address is an AddressInfo
  const { port } = server.address() as AddressInfo;
  const call = async (path: string, method = 'GET') => {
    const headers = { 'x-api-key': apiKey };
    const answer = await fetch(`http://127.0.0.1:${port}${path}`, { method, headers });
    await answer.text();
    return answer.status;
  };
  const hour = Math.floor(Date.now() / HOUR_MS) * HOUR_MS;
  const reconciled = async () => {
    await tollgate.flush();
    await api.app.get(DecisionCounts).flush();
    await api.app.get(UsageService).rollUpNow(accountId);
    const search = new URLSearchParams({
      keyId,
      from: new Date(hour).toISOString(),
      to: new Date(hour + 2 * HOUR_MS).toISOString(),
    });
    return (await api.call('GET', `/v1/usage/reconciliation?${search.toString()}`)).body;
  };
  try {
    for (let n = 0; n < 50; n += 1) expect(await call('/pets')).toBe(200);
    for (let n = 0; n < 7; n += 1) expect(await call('/pets', 'POST')).toBe(200);
    const agreed = {
      allowed: '57',
      metered: '57',
      mismatches: 0,
      keptFrom: null,
      selfDeciding: [],
      items: [],
    };
    expect(await reconciled()).toEqual(agreed);
    // The first by the service, the others here.
    for (const [n, method] of [
      [0, 'GET'],
      [49, 'GET'],
      [50, 'POST'],
      [56, 'POST'],
    ] as const) {
      const { body } = await api.call('GET', `/v1/usage/records?decisionId=${decisionIds[n]}`);
      expect(body['items']).toMatchObject([{ method, keyId, isRolledUp: true }]);
    }
    // Allowed, and metered only once it is answered.
    const waiting = call('/pets?wait');
    await expect.poll(() => unanswered.length).toBe(1);
    expect(await reconciled()).toMatchObject({
      allowed: '58',
      items: [{ method: 'GET', resourcePath: '/pets', difference: '1' }],
    });
    unanswered[0]?.end('ok');
    expect(await waiting).toBe(200);
    await expect
      .poll(reconciled, { timeout: 10_000 })
      .toEqual({ ...agreed, allowed: '58', metered: '58' });
  } finally {
    server.close();
    server.closeAllConnections();
    await tollgate.close();
  }
}, 30_000);
