import { expect } from 'vitest';
import type { TestApi } from './api.js';

type Body = Record<string, unknown>;

/** Creates through the api what a test needs, with names of no importance; each answers the created object. */
export function controlPlane(
  api: Pick<TestApi, 'call' | 'ownerToken'>,
  token: string = api.ownerToken,
) {
  const create = async (path: string, body: Body) => {
    const answer = await api.call('POST', path, { token, body });
    expect(answer, `POST ${path}`).toMatchObject({ status: 201 });
    return answer.body;
  };
  return {
    api: (body: Body = {}) => create('/v1/apis', { name: 'Pets', ...body }),
    stage: (apiId: string, name = 'prod', body: Body = {}) =>
      create(`/v1/apis/${apiId}/stages`, { name, ...body }),
    /** An api with one stage, as a usage plan names it. */
    apiStage: async () => {
      const { id: apiId } = await create('/v1/apis', { name: 'Pets' });
      await create(`/v1/apis/${apiId}/stages`, { name: 'prod' });
      return { apiId: String(apiId), stage: 'prod' };
    },
    usagePlan: (body: Body = {}) => create('/v1/usage-plans', { name: 'Basic', ...body }),
    customer: (body: Body = {}) => create('/v1/customers', { name: 'Ada & Co.', ...body }),
    customerToken: (customerId: string) =>
      create(`/v1/customers/${customerId}/tokens`, { name: 'portal' }),
    /** A key, of a new customer unless one is named. */
    apiKey: async (body: Body = {}) => {
      const customerId =
        body['customerId'] ?? (await create('/v1/customers', { name: 'Ada & Co.' }))['id'];
      return create('/v1/api-keys', { customerId, ...body });
    },
    meter: (body: Body) => create('/v1/meters', body),
    rateCard: (items: readonly Body[]) =>
      create('/v1/rate-cards', { name: `Card ${Math.random()}`, currency: 'USD', items }),
    /** From now on, with a customer, a usage plan and a rate card that are there. */
    subscription: (body: Body) => create('/v1/subscriptions', body),
    gateway: (name: string) => create('/v1/gateways', { name }),
    operatorToken: (role: string) => create('/v1/tokens', { name: role, role }),
    /** Another account, with its first owner's token. */
    account: (mode = 'test') => create('/v1/accounts', { name: 'Other', mode }),
  };
}
