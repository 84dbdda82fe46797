import { hasValidChecksum } from '@core/kernel';
import pg from 'pg';
import { beforeAll, describe, expect, it } from 'vitest';
import { afterFile } from '../support/after-file.js';
import { startApi, type TestApi } from '../support/api.js';
import { controlPlane } from '../support/control-plane.js';

let api: TestApi;
let make: ReturnType<typeof controlPlane>;
let db: pg.Pool;
let customerId: string;
beforeAll(async () => {
  api = await startApi();
  make = controlPlane(api);
  db = new pg.Pool({ connectionString: api.databaseUrl });
  afterFile(() => db.end());
  customerId = (await make.customer()).id;
});

const IN_A_WEEK = () => new Date(Date.now() + 7 * 86_400_000).toISOString();

describe('POST /v1/api-keys', () => {
  it('201: answers a value of the mode of the account, and keeps only its hash and a sealed copy', async () => {
    const { status, body } = await api.call('POST', '/v1/api-keys', {
      body: { customerId, name: 'web', expiresAt: IN_A_WEEK(), ipPolicy: { deny: ['10.0.0.0/8'] } },
    });
    expect(status).toBe(201);
    expect(body).toMatchObject({
      id: expect.stringMatching(/^[a-z0-9]{10}$/),
      customerId,
      enabled: true,
      ipPolicy: { deny: ['10.0.0.0/8'] },
      lastFour: body.value.slice(-4),
    });
    expect(body.value).toMatch(/^tg_test_/);
    expect(hasValidChecksum(body.value)).toBe(true);
    const { rows } = await db.query('SELECT k::text AS row FROM api_key k WHERE id = $1', [
      body.id,
    ]);
    expect(rows[0].row).not.toContain(body.value);
    expect(rows[0].row).not.toContain(Buffer.from(body.value).toString('hex'));
  });

  it('201: takes a value from elsewhere; 409: once', async () => {
    const value = 'imported-from-amazon-0001';
    const first = await api.call('POST', '/v1/api-keys', { body: { customerId, value } });
    expect(first).toMatchObject({ status: 201, body: { value } });
    const again = await api.call('POST', '/v1/api-keys', { body: { customerId, value } });
    expect(again).toMatchObject({ status: 409, body: { detail: 'API Key already exists' } });
    await api.call('DELETE', `/v1/api-keys/${first.body.id}`);
    const later = await api.call('POST', '/v1/api-keys', { body: { customerId, value } });
    expect(later.status).toBe(409);
  });

  it('409: of 20 imports of one value at once, one is made', async () => {
    const value = 'raced-from-amazon-00000001';
    const answers = await Promise.all(
      Array.from({ length: 20 }, () =>
        api.call('POST', '/v1/api-keys', { body: { customerId, value } }),
      ),
    );
    expect(answers.filter(({ status }) => status === 201)).toHaveLength(1);
    expect(answers.filter(({ status }) => status === 409)).toHaveLength(19);
  });

  it.each([
    { body: { value: 'x'.repeat(19) }, pointer: '/value', why: 'it is too short' },
    { body: { value: 'x'.repeat(129) }, pointer: '/value', why: 'it is too long' },
    { body: { value: `${'x'.repeat(20)} y` }, pointer: '/value', why: 'it has a blank' },
    {
      body: { value: `tg_live_${'a'.repeat(28)}_${'b'.repeat(6)}` },
      pointer: '/value',
      why: 'it is one of ours with a typing error',
    },
    { body: { customerId: 'cus_nobody' }, pointer: '/customerId', why: 'nobody has that id' },
    { body: { expiresAt: '2020-01-01T00:00:00Z' }, pointer: '/expiresAt', why: 'it is over' },
    { body: { expiresAt: '99999-01-01T00:00:00Z' }, pointer: '/expiresAt', why: 'it is no year' },
    {
      body: { ipPolicy: { allow: ['10.0.0.1/8'] } },
      pointer: '/ipPolicy/allow/0',
      why: 'bits are set behind the prefix',
    },
  ])('400: names $pointer: $why', async ({ body, pointer }) => {
    const answer = await api.call('POST', '/v1/api-keys', { body: { customerId, ...body } });
    expect(answer.status).toBe(400);
    expect(answer.body.errors[0].pointer).toBe(pointer);
  });
});

describe('GET /v1/api-keys', () => {
  it('200: finds names by how they start, and takes every character as itself', async () => {
    const names = ['50%_off', '50% more', '50x_off', String.raw`50%\off`, 'Fifty'];
    for (const name of names) await make.apiKey({ customerId, name });
    const find = async (prefix: string) => {
      const { body } = await api.call('GET', `/v1/api-keys?name=${encodeURIComponent(prefix)}`);
      return body.items.map(({ name }: { name: string }) => name).sort();
    };
    expect(await find('50%')).toEqual(['50% more', '50%\\off', '50%_off']);
    expect(await find('50%_')).toEqual(['50%_off']);
    expect(await find('50%\\')).toEqual(['50%\\off']);
    expect(await find('fifty')).toEqual([]);
    expect(await find("' OR 1=1 --")).toEqual([]);
  });

  it('200: of one customer, never with values', async () => {
    const key = await make.apiKey();
    const { body } = await api.call('GET', `/v1/api-keys?customerId=${key.customerId}`);
    expect(body.items).toMatchObject([{ id: key.id }]);
    expect(JSON.stringify(body)).not.toContain(key.value);
  });

  it('200: a customer sees their own only, whatever they ask for', async () => {
    const [own, other] = [await make.apiKey(), await make.apiKey()];
    const { value: token } = await make.customerToken(own.customerId);
    const list = await api.call('GET', '/v1/api-keys', { token });
    expect(list.body.items).toMatchObject([{ id: own.id }]);
    const foreign = await api.call('GET', `/v1/api-keys?customerId=${other.customerId}`, { token });
    expect(foreign.body.items).toEqual([]);
    expect((await api.call('GET', `/v1/api-keys/${own.id}`, { token })).status).toBe(200);
    expect((await api.call('GET', `/v1/api-keys/${other.id}`, { token })).status).toBe(404);
  });
});

describe('GET /v1/api-keys/{keyId}', () => {
  it('200: shows the value to operators who may write keys', async () => {
    const key = await make.apiKey();
    const path = `/v1/api-keys/${key.id}`;
    expect((await api.call('GET', path)).body).not.toHaveProperty('value');
    expect((await api.call('GET', `${path}?includeValue=true`)).body.value).toBe(key.value);
    const { value: readOnly } = await make.operatorToken('read-only');
    const { value: customer } = await make.customerToken(key.customerId);
    for (const token of [readOnly, customer]) {
      expect((await api.call('GET', `${path}?includeValue=true`, { token })).status).toBe(403);
      expect((await api.call('GET', `${path}?includeValue=false`, { token })).status).toBe(200);
    }
  });

  it('200: has no value to show where the account keeps none', async () => {
    await api.call('PATCH', '/v1/account', { body: { keepsKeyValues: false } });
    const key = await make.apiKey();
    await api.call('PATCH', '/v1/account', { body: { keepsKeyValues: true } });
    const { body } = await api.call('GET', `/v1/api-keys/${key.id}?includeValue=true`);
    expect(key.value).toMatch(/^tg_test_/);
    expect(body.value).toBeNull();
  });
});

describe('PATCH /v1/api-keys/{keyId}', () => {
  it('200: changes what is given, and null takes it away', async () => {
    const key = await make.apiKey({
      name: 'a',
      expiresAt: IN_A_WEEK(),
      ipPolicy: { allow: ['::1'] },
    });
    const { body } = await api.call('PATCH', `/v1/api-keys/${key.id}`, {
      body: { enabled: false, expiresAt: null, ipPolicy: null },
    });
    expect(body).toMatchObject({ name: 'a', enabled: false, expiresAt: null, ipPolicy: null });
  });

  it('400: neither customer nor value can change', async () => {
    const key = await make.apiKey();
    for (const field of ['customerId', 'value', 'accountId', 'id', 'createdAt']) {
      const { status, body } = await api.call('PATCH', `/v1/api-keys/${key.id}`, {
        body: { [field]: 'x'.repeat(20) },
      });
      expect({ status, pointer: body.errors[0].pointer }).toEqual({
        status: 400,
        pointer: `/${field}`,
      });
    }
  });
});

describe('DELETE /v1/api-keys/{keyId}', () => {
  it('204: is gone from everywhere, erases the sealed copy, and stays as a tombstone', async () => {
    const key = await make.apiKey();
    const plan = await make.usagePlan();
    await api.call('POST', `/v1/usage-plans/${plan.id}/keys`, { body: { keyId: key.id } });
    const path = `/v1/api-keys/${key.id}`;
    expect((await api.call('DELETE', path)).status).toBe(204);
    for (const [method, at] of [
      ['GET', path],
      ['GET', `${path}?includeValue=true`],
      ['DELETE', path],
    ] as const) {
      expect((await api.call(method, at)).status).toBe(404);
    }
    expect((await api.call('PATCH', path, { body: { enabled: true } })).status).toBe(404);
    const plans = await api.call('GET', `/v1/usage-plans/${plan.id}/keys`);
    expect(plans.body.items).toEqual([]);
    const { rows } = await db.query(
      'SELECT enabled, sealed, deleted_at FROM api_key WHERE id = $1',
      [key.id],
    );
    expect(rows).toEqual([{ enabled: false, sealed: null, deleted_at: expect.any(Date) }]);
  });
});
