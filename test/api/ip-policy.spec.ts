import { beforeAll, describe, expect, it } from 'vitest';
import { startApi, type TestApi } from '../support/api.js';
import { aCatalogue, type Catalogue } from '../support/catalogue.js';

let api: TestApi;
beforeAll(async () => {
  api = await startApi();
});

/** The reason for which a call from this address is refused, or 'allowed'. */
async function decided({ apiKey, apiId, stage }: Catalogue, sourceIp: string | null) {
  const { body } = await api.call('POST', '/v1/decisions', {
    token: api.gatewayToken,
    body: { apiKey, apiId, stage, method: 'GET', path: '/pets', sourceIp },
  });
  return body['allowed'] ? 'allowed' : body['reason'];
}

describe('ipPolicy of an api', () => {
  it.each([
    { ofApi: { allow: ['203.0.113.0/24'] }, from: '203.0.113.7', is: 'allowed' },
    { ofApi: { allow: ['203.0.113.0/24'] }, from: '203.0.114.7', is: 'ip-denied' },
    { ofApi: { allow: ['203.0.113.0/24'] }, from: '::ffff:203.0.113.7', is: 'allowed' },
    { ofApi: { allow: ['203.0.113.0/24'] }, from: null, is: 'ip-denied' },
    { ofApi: { allow: ['203.0.113.0/24'] }, from: 'unknown', is: 'ip-denied' },
    { ofApi: { allow: ['2001:db8::/32'] }, from: '2001:db8:1::7', is: 'allowed' },
    { ofApi: { allow: ['2001:db8::/32'] }, from: '2001:db9::', is: 'ip-denied' },
    { ofApi: { deny: ['203.0.113.7'] }, from: '203.0.113.7', is: 'ip-denied' },
    { ofApi: { deny: ['203.0.113.7'] }, from: '::ffff:203.0.113.7', is: 'ip-denied' },
    { ofApi: { deny: ['203.0.113.7'] }, from: '203.0.113.8', is: 'allowed' },
    {
      ofApi: { allow: ['203.0.113.0/24'], deny: ['203.0.113.7'] },
      from: '203.0.113.7',
      is: 'ip-denied',
    },
    {
      ofApi: { allow: ['203.0.113.0/24'] },
      ofKey: { allow: ['203.0.113.7'] },
      from: '203.0.113.7',
      is: 'allowed',
    },
    {
      ofApi: { allow: ['203.0.113.0/24'] },
      ofKey: { allow: ['203.0.113.7'] },
      from: '203.0.113.8',
      is: 'ip-denied',
    },
    {
      ofApi: { allow: ['203.0.113.0/24'] },
      ofKey: { allow: ['198.51.100.0/24'] },
      from: '198.51.100.1',
      is: 'ip-denied',
    },
  ])('$ofApi with a key of $ofKey: $from is $is', async ({ ofApi, ofKey, from, is }) => {
    const catalogue = await aCatalogue(api, {
      apiIpPolicy: ofApi,
      ...(ofKey && { ipPolicy: ofKey }),
    });
    expect(await decided(catalogue, from)).toBe(is);
  });

  it('is set and lifted over the API, and holds within a second', async () => {
    const catalogue = await aCatalogue(api);
    const path = `/v1/apis/${catalogue.apiId}`;
    expect((await api.call('GET', path)).body['ipPolicy']).toBeNull();
    expect(await decided(catalogue, '198.51.100.1')).toBe('allowed');
    for (const { ipPolicy, is } of [
      { ipPolicy: { allow: ['203.0.113.0/24'] }, is: 'ip-denied' },
      { ipPolicy: null, is: 'allowed' },
      { ipPolicy: { deny: ['198.51.100.0/24', '2001:db8::/32'] }, is: 'ip-denied' },
      { ipPolicy: {}, is: 'allowed' },
    ]) {
      const { status, body } = await api.call('PATCH', path, { body: { ipPolicy } });
      expect({ status, ipPolicy: body['ipPolicy'] }).toEqual({ status: 200, ipPolicy });
      await expect
        .poll(() => decided(catalogue, '198.51.100.1'), { timeout: 1_000, interval: 10 })
        .toBe(is);
    }
    const { body } = await api.call('GET', '/v1/audit-events?limit=1');
    expect(body['items'][0]).toMatchObject({
      action: 'update-api',
      subject: catalogue.apiId,
      before: { ipPolicy: { deny: ['198.51.100.0/24', '2001:db8::/32'] } },
      after: { ipPolicy: {} },
    });
  });

  it('is kept when another field is changed', async () => {
    const ipPolicy = { allow: ['203.0.113.0/24'] };
    const made = await api.call('POST', '/v1/apis', { body: { name: 'Petstore', ipPolicy } });
    expect(made.body).toMatchObject({ ipPolicy });
    const path = `/v1/apis/${made.body['id']}`;
    expect((await api.call('PATCH', path, { body: { name: 'Zoo' } })).body).toMatchObject({
      name: 'Zoo',
      ipPolicy,
    });
  });

  it('refuses what is no address, at its place', async () => {
    const { apiId } = await aCatalogue(api);
    const ipPolicy = { allow: ['203.0.113.0/24', '10.0.0.1/8'], deny: ['example.org'] };
    for (const [method, path, body] of [
      ['POST', '/v1/apis', { name: 'Petstore', ipPolicy }],
      ['PATCH', `/v1/apis/${apiId}`, { ipPolicy }],
    ] as const) {
      expect(await api.call(method, path, { body })).toMatchObject({
        status: 400,
        body: {
          type: expect.stringMatching(/invalid-ip-policy$/),
          errors: [{ pointer: '/ipPolicy/allow/1' }, { pointer: '/ipPolicy/deny/0' }],
        },
      });
    }
  });
});
