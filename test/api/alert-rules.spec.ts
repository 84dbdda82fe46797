import { beforeAll, describe, expect, it } from 'vitest';
import { startApi, type TestApi } from '../support/api.js';
import { controlPlane } from '../support/control-plane.js';

let api: TestApi;
beforeAll(async () => {
  api = await startApi();
});

const QUOTA = { name: 'Near the quota', measure: 'quota-percent', thresholds: ['100', '80'] };
const USAGE = { name: 'Much', measure: 'usage', thresholds: ['1000'] };
const post = (body: unknown) => api.call('POST', '/v1/alert-rules', { body });

describe('POST /v1/alert-rules', () => {
  it('answers 201 with the rule, its thresholds rising and each once', async () => {
    const { status, body } = await post({ ...QUOTA, thresholds: ['100', '80.50', '80.5'] });
    expect(status).toBe(201);
    expect(body).toMatchObject({
      measure: 'quota-percent',
      meter: 'calls',
      per: 'key',
      period: null,
      thresholds: ['80.5', '100'],
      recipients: [],
      enabled: true,
    });
    expect((await api.call('GET', `/v1/alert-rules/${body['id']}`)).body).toEqual(body);
  });

  it('counts usage by month unless told otherwise', async () => {
    const recipients = [{ email: 'ada@example.com' }];
    const { body } = await post({ ...USAGE, per: 'customer', meter: 'bytes-out', recipients });
    expect(body).toMatchObject({ period: 'MONTH', offset: 0, per: 'customer', recipients });
  });

  it.each([
    { body: { ...QUOTA, thresholds: ['0'] }, at: '/thresholds/0' },
    { body: { ...QUOTA, thresholds: ['80', '-1'] }, at: '/thresholds/1' },
    { body: { ...QUOTA, thresholds: ['1e3'] }, at: '/thresholds/0' },
    { body: { ...QUOTA, thresholds: ['1001'] }, at: '/thresholds/0' },
    { body: { ...QUOTA, thresholds: [] }, at: '/thresholds' },
    { body: { ...QUOTA, meter: 'bytes-out' }, at: '/meter' },
    { body: { ...QUOTA, per: 'customer' }, at: '/per' },
    { body: { ...QUOTA, period: 'DAY' }, at: '/period' },
    { body: { ...USAGE, period: 'WEEK', offset: 7 }, at: '/offset' },
    { body: { ...USAGE, name: 'Much\r\nBcc: eve@example.com' }, at: '/name' },
    {
      body: { ...USAGE, recipients: [{ email: 'a@example.com\r\nBcc: b@example.com' }] },
      at: '/recipients/0/email',
    },
    {
      body: { ...USAGE, recipients: [{ email: 'a@b.example,c@d.example' }] },
      at: '/recipients/0/email',
    },
  ])('answers 400 naming $at', async ({ body, at }) => {
    const answer = await post(body);
    expect(answer.status).toBe(400);
    expect(answer.body['errors']).toMatchObject([{ pointer: at }]);
  });

  it.each(['keyId', 'customerId', 'usagePlanId'])(
    'answers 404 to a %s that is not there',
    async (name) => {
      expect(await post({ ...USAGE, [name]: 'nobody' })).toMatchObject({
        status: 404,
        body: { id: 'nobody' },
      });
    },
  );

  it('answers 404 to what belongs to another account', async () => {
    const other = await controlPlane(api).account();
    const { id } = await controlPlane(api, other['token'] as string).customer();
    expect((await post({ ...USAGE, customerId: id })).status).toBe(404);
  });
});

describe('PATCH /v1/alert-rules/{ruleId}', () => {
  it('changes what is given, and not what is measured', async () => {
    const { body } = await post(QUOTA);
    const path = `/v1/alert-rules/${body['id']}`;
    const changed = await api.call('PATCH', path, { body: { thresholds: ['90'], enabled: false } });
    expect(changed.body).toMatchObject({ thresholds: ['90'], enabled: false, name: QUOTA.name });
    expect((await api.call('PATCH', path, { body: { measure: 'usage' } })).status).toBe(400);
    expect((await api.call('PATCH', path, { body: { thresholds: ['2000'] } })).status).toBe(400);
    const headers = { 'if-match': '"old"' };
    expect((await api.call('PATCH', path, { body: { name: 'x' }, headers })).status).toBe(412);
  });
});

describe('DELETE /v1/alert-rules/{ruleId}', () => {
  it('answers 204, and 404 after', async () => {
    const { body } = await post(QUOTA);
    const path = `/v1/alert-rules/${body['id']}`;
    expect((await api.call('DELETE', path)).status).toBe(204);
    expect((await api.call('GET', path)).status).toBe(404);
    expect((await api.call('GET', `${path}/crossings`)).status).toBe(404);
  });
});
