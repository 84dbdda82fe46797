import { beforeAll, describe, expect, it } from 'vitest';
import { startApi, type TestApi } from '../support/api.js';
import { controlPlane } from '../support/control-plane.js';

let api: TestApi;
let make: ReturnType<typeof controlPlane>;
beforeAll(async () => {
  api = await startApi();
  make = controlPlane(api);
});

describe('/v1/customers', () => {
  it('201, 200: keeps what is told, with defaults for the rest', async () => {
    const customer = await make.customer({ email: 'ada@example.com', timezone: 'Europe/Paris' });
    expect(customer).toMatchObject({
      id: expect.stringMatching(/^cus_/),
      email: 'ada@example.com',
      legalName: null,
      currency: 'USD',
      timezone: 'Europe/Paris',
    });
    const path = `/v1/customers/${customer.id}`;
    expect((await api.call('GET', path)).body).toEqual(customer);
    const changed = await api.call('PATCH', path, { body: { email: null, currency: 'JPY' } });
    expect(changed.body).toMatchObject({ email: null, currency: 'JPY', name: customer.name });
    const { body } = await api.call('GET', '/v1/customers?limit=1');
    expect(body.items).toMatchObject([{ id: customer.id }]);
  });

  it('204: goes with its tokens, which stop at once', async () => {
    const { id } = await make.customer();
    const { value: token } = await make.customerToken(id);
    expect((await api.call('GET', '/v1/api-keys', { token })).status).toBe(200);
    expect((await api.call('DELETE', `/v1/customers/${id}`)).status).toBe(204);
    await expect
      .poll(async () => (await api.call('GET', '/v1/api-keys', { token })).status)
      .toBe(401);
    expect((await api.call('GET', `/v1/customers/${id}`)).status).toBe(404);
  });

  it('409: stays while keys name it, deleted ones too', async () => {
    const key = await make.apiKey();
    const path = `/v1/customers/${key.customerId}`;
    expect(await api.call('DELETE', path)).toMatchObject({ status: 409, body: { keys: 1 } });
    await api.call('DELETE', `/v1/api-keys/${key.id}`);
    expect(await api.call('DELETE', path)).toMatchObject({ status: 409, body: { keys: 1 } });
  });
});

describe('/v1/gateways', () => {
  it('201, 200: comes with a token, which is shown once', async () => {
    const gateway = await make.gateway('edge');
    expect(gateway.token).toMatch(/^tgw_[0-9A-Za-z]{40}$/);
    const { body } = await api.call('GET', `/v1/gateways/${gateway.id}`);
    expect(body).toEqual({
      id: gateway.id,
      name: 'edge',
      disabledAt: null,
      createdAt: gateway.createdAt,
      updatedAt: gateway.updatedAt,
    });
    const more = await api.call('POST', `/v1/gateways/${gateway.id}/tokens`, {
      body: { name: 'second' },
    });
    expect(more).toMatchObject({
      status: 201,
      body: { kind: 'gateway', gatewayId: gateway.id, value: expect.stringMatching(/^tgw_/) },
    });
  });

  it('409: has a name of its own', async () => {
    const { id } = await make.gateway('taken');
    const again = await api.call('POST', '/v1/gateways', { body: { name: 'taken' } });
    expect(again.status).toBe(409);
    const other = await make.gateway('free');
    const renamed = await api.call('PATCH', `/v1/gateways/${other.id}`, {
      body: { name: 'taken' },
    });
    expect(renamed.status).toBe(409);
    const same = await api.call('PATCH', `/v1/gateways/${id}`, { body: { name: 'taken' } });
    expect(same.status).toBe(200);
  });

  it('200: disabling stops its tokens, enabling lets them in again', async () => {
    const { id, token } = await make.gateway('switched');
    const ask = async () =>
      (await api.call('POST', '/v1/decisions', { token, body: {} })).status !== 401;
    const path = `/v1/gateways/${id}`;
    const off = await api.call('PATCH', path, { body: { disabled: true } });
    expect(off.body.disabledAt).toEqual(expect.any(String));
    await expect.poll(ask).toBe(false);
    const on = await api.call('PATCH', path, { body: { disabled: false } });
    expect(on.body.disabledAt).toBeNull();
    await expect.poll(ask).toBe(true);
  });

  it('204: goes with its tokens', async () => {
    const { id } = await make.gateway('short-lived');
    expect((await api.call('DELETE', `/v1/gateways/${id}`)).status).toBe(204);
    expect((await api.call('DELETE', `/v1/gateways/${id}`)).status).toBe(404);
    const { body } = await api.call('GET', '/v1/tokens?kind=gateway&limit=500');
    expect(body.items.filter((one: { gatewayId: string }) => one.gatewayId === id)).toEqual([]);
  });
});

describe('/v1/tokens', () => {
  const ROLES = ['owner', 'admin', 'finance', 'support', 'read-only'];

  it.each([
    { maker: 'owner', makes: ROLES, why: 'an owner may do everything' },
    { maker: 'admin', makes: ROLES.slice(1), why: 'an admin is no owner' },
    { maker: 'finance', makes: [], why: 'finance makes no tokens' },
    { maker: 'support', makes: [], why: 'nor does support' },
    { maker: 'read-only', makes: [], why: 'nor who only reads' },
  ])('201, 403: a token of $maker makes $makes: $why', async ({ maker, makes }) => {
    const { value: token } = await make.operatorToken(maker);
    const made = [];
    for (const role of ROLES) {
      const { status } = await api.call('POST', '/v1/tokens', { token, body: { name: 'x', role } });
      made.push({ role, status });
    }
    expect(made).toEqual(ROLES.map((role) => ({ role, status: makes.includes(role) ? 201 : 403 })));
  });

  it('200: lists tokens without their values', async () => {
    const { id, value } = await make.operatorToken('support');
    const { body } = await api.call('GET', '/v1/tokens?kind=operator&limit=500');
    expect(body.items).toContainEqual(
      expect.objectContaining({ id, role: 'support', lastFour: value.slice(-4) }),
    );
    expect(JSON.stringify(body)).not.toContain(value);
  });

  it('204: revokes for good, at once', async () => {
    const { id, value: token } = await make.operatorToken('read-only');
    expect((await api.call('GET', '/v1/apis', { token })).status).toBe(200);
    expect((await api.call('DELETE', `/v1/tokens/${id}`)).status).toBe(204);
    await expect.poll(async () => (await api.call('GET', '/v1/apis', { token })).status).toBe(401);
    expect((await api.call('DELETE', `/v1/tokens/${id}`)).status).toBe(204);
  });

  it('403: an admin does not revoke an owner', async () => {
    const { id } = await make.operatorToken('owner');
    const { value: token } = await make.operatorToken('admin');
    expect((await api.call('DELETE', `/v1/tokens/${id}`, { token })).status).toBe(403);
  });

  it('400: ends in the future', async () => {
    const { status, body } = await api.call('POST', '/v1/tokens', {
      body: { name: 'x', role: 'support', expiresAt: '2020-01-01T00:00:00Z' },
    });
    expect(status).toBe(400);
    expect(body.errors[0].pointer).toBe('/expiresAt');
  });

  it('409: one of the owners who revoke each other at once stays', async () => {
    for (let round = 0; round < 5; round += 1) {
      const account = await make.account();
      const { value: second } = await controlPlane(api, account.token).operatorToken('owner');
      const { body } = await api.call('GET', '/v1/tokens', { token: second });
      const [b, a] = body.items.map(({ id }: { id: string }) => id);
      const answers = await Promise.all([
        api.call('DELETE', `/v1/tokens/${b}`, { token: account.token }),
        api.call('DELETE', `/v1/tokens/${a}`, { token: second }),
      ]);
      const got = answers.map(({ status }) => status);
      expect(got.filter((status) => status === 204)).toHaveLength(1);
      // The loser is refused as the last owner, or comes too late to be known at all.
      expect([401, 409]).toContain(got.find((status) => status !== 204));
    }
  });
});

describe('/v1/account and /v1/accounts', () => {
  it('200: shows and changes the own account', async () => {
    const { token } = await make.account();
    const throttle = { rateLimit: 12.5, burstLimit: 3 };
    const { body } = await api.call('PATCH', '/v1/account', {
      token,
      body: { throttle, legalName: 'Other Ltd', address: '1 Road\n2 Town' },
    });
    expect(body).toMatchObject({
      throttle,
      legalName: 'Other Ltd',
      mode: 'test',
      isDefault: false,
    });
    expect((await api.call('GET', '/v1/account', { token })).body).toEqual(body);
  });

  it('201, 200: owners of the default account make and see others', async () => {
    const account = await make.account('live');
    expect(account).toMatchObject({ mode: 'live', token: expect.stringMatching(/^tgo_/) });
    const { body } = await api.call('GET', '/v1/accounts');
    expect(body.items[0]).toMatchObject({ id: account.id });
  });

  it('403: nobody else does', async () => {
    const { token } = await make.account();
    const body = { name: 'x', mode: 'test' };
    const made = await api.call('POST', '/v1/accounts', { token, body });
    expect(made).toMatchObject({ status: 403 });
    expect(made.body.type).toMatch(/not-default-account$/);
    expect((await api.call('GET', '/v1/accounts', { token })).status).toBe(403);
    const { value: admin } = await make.operatorToken('admin');
    expect((await api.call('POST', '/v1/accounts', { token: admin, body })).status).toBe(403);
  });

  it('400: the mode is fixed at the start', async () => {
    const { status } = await api.call('PATCH', '/v1/account', { body: { mode: 'live' } });
    expect(status).toBe(400);
  });
});
