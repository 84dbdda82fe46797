import { beforeAll, describe, expect, it } from 'vitest';
import { startApi, type TestApi } from '../support/api.js';

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
