import { newApiKeyValue } from '@core/kernel';
import { Database } from '@io/platform';
import { randomBytes } from 'node:crypto';
import { beforeAll, describe, expect, it, vi } from 'vitest';
import { startApi, type TestApi } from '../support/api.js';
import { aCatalogue, type Catalogue } from '../support/catalogue.js';

let api: TestApi;
let key: Catalogue;
beforeAll(async () => {
  api = await startApi();
  key = await aCatalogue(api, { throttle: { rateLimit: 1_000, burstLimit: 1_000 } });
});

/** Asks once with each of these keys, and counts the statements that this takes. */
async function statementsFor(apiKeys: readonly string[]): Promise<number> {
  const query = vi.spyOn(api.app.get(Database).pool, 'query');
  const { apiId, stage } = key;
  const decisions = apiKeys.map((apiKey) => ({
    apiKey,
    apiId,
    stage,
    method: 'GET',
    path: '/pets',
  }));
  const { status } = await api.call('POST', '/v1/decisions', {
    token: api.gatewayToken,
    body: { decisions },
  });
  expect(status).toBe(200);
  const statements = query.mock.calls.length;
  query.mockRestore();
  return statements;
}

describe('a decision', () => {
  it('asks Postgres when a key is new to the process, and never again', async () => {
    expect(await statementsFor([key.apiKey])).toBeGreaterThan(0);
    for (let round = 0; round < 20; round += 1)
      expect(await statementsFor(Array.from({ length: 50 }, () => key.apiKey))).toBe(0);
  });

  it('asks once for a key that nobody has', async () => {
    const unknown = newApiKeyValue('test', randomBytes);
    expect(await statementsFor([unknown])).toBe(1);
    expect(await statementsFor([unknown, unknown])).toBe(0);
  });

  it('asks nothing for keys whose checksum is wrong', async () => {
    const junk = Array.from({ length: 500 }, () => {
      const value = newApiKeyValue('test', randomBytes);
      return value.slice(0, -1) + (value.endsWith('A') ? 'B' : 'A');
    });
    expect(await statementsFor(junk)).toBe(0);
  });
});
