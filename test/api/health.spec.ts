import { Database } from '@io/platform';
import { beforeAll, describe, expect, it } from 'vitest';
import { startApi, type TestApi } from '../support/api.js';
import { aCatalogue } from '../support/catalogue.js';

let api: TestApi;
beforeAll(async () => {
  api = await startApi();
});

describe('GET /health/…', () => {
  it('is live and ready without a token', async () => {
    expect(await api.call('GET', '/health/live', { token: null })).toMatchObject({ status: 200 });
    expect(await api.call('GET', '/health/ready', { token: null })).toMatchObject({
      body: { status: 'ready' },
    });
  });
});

describe('GET /health/ready without its database', () => {
  it('is ready for decisions while it can decide about anybody, and for nothing else', async () => {
    const ready = async (of: TestApi) => [
      (await of.call('GET', '/health/live', { token: null })).status,
      (await of.call('GET', '/health/ready', { token: null })).status,
      (await of.call('GET', '/health/ready?for=decisions', { token: null })).status,
    ];
    const idle = await startApi();
    const busy = await startApi();
    const { apiKey, apiId, stage } = await aCatalogue(busy);
    const body = { apiKey, apiId, stage, method: 'GET', path: '/pets' };
    const decide = async () =>
      (await busy.call('POST', '/v1/decisions', { token: busy.gatewayToken, body })).body[
        'allowed'
      ];
    expect(await decide()).toBe(true);
    expect([await ready(idle), await ready(busy)]).toEqual([
      [200, 200, 200],
      [200, 200, 200],
    ]);
    for (const { app } of [idle, busy]) await app.get(Database).pool.end();
    expect([await ready(idle), await ready(busy)]).toEqual([
      [200, 503, 503],
      [200, 503, 200],
    ]);
    expect(await decide()).toBe(true);
    const wrong = await busy.call('GET', '/health/ready?for=everything', { token: null });
    expect(wrong.status).toBe(400);
  });
});

describe('what is not there', () => {
  it('answers a problem with the request id', async () => {
    const { status, body, headers } = await api.call('GET', '/v1/nothing');
    expect(status).toBe(404);
    expect(body).toMatchObject({
      status: 404,
      title: 'Not found',
      instance: `urn:request:${headers.get('x-request-id')}`,
    });
  });
});
