import { Validator } from '@seriousme/openapi-schema-validator';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { beforeAll, describe, expect, it } from 'vitest';
import { afterFile } from '../support/after-file.js';
import { STRIPE_KEY, StripeStandIn } from '../support/stripe/stripe-stand-in.js';
import { startApi, type TestApi } from '../support/api.js';

type Json = Record<string, unknown>;

let api: TestApi;
let document: Json;
beforeAll(async () => {
  const stripe = await StripeStandIn.start();
  afterFile(() => stripe.stop());
  api = await startApi({ STRIPE_API_BASE: stripe.url });
  document = (await api.call('GET', '/openapi.json', { token: null })).body;
});

const paths = () => document['paths'] as Record<string, Record<string, Json>>;

/** Every route that the server has, as `GET /v1/apis/{}`: the names of parameters are not the same everywhere. */
function servedRoutes(): string[] {
  const tree: string = api.app.getHttpAdapter().getInstance().printRoutes({ commonPrefix: false });
  const prefixes: string[] = [];
  const routes: string[] = [];
  for (const line of tree.split('\n')) {
    const [, indent = '', label = '', methods] =
      /^([│├└─ ]*)(\S+)(?: \(([A-Z, ]+)\))?/u.exec(line) ?? [];
    if (label === '') continue;
    const depth = indent.length / 4 - 1;
    prefixes.length = Math.max(depth, 0);
    prefixes.push(label);
    for (const method of methods?.split(', ') ?? [])
      routes.push(`${method} ${prefixes.join('').replaceAll(/:\w+/g, '{}')}`);
  }
  return routes;
}

describe('/openapi.json', () => {
  it('is a valid document of OpenAPI 3.1', async () => {
    const validator = new Validator();
    const { valid, errors } = await validator.validate(structuredClone(document));
    expect({ valid, errors }).toEqual({ valid: true, errors: undefined });
    expect(document['openapi']).toBe('3.1.0');
    expect(JSON.stringify(document)).not.toContain('"nullable"');
  });

  it('has every route that is served, but for health, metrics and for itself', () => {
    const documented = new Set(
      Object.entries(paths()).flatMap(([path, item]) =>
        Object.keys(item).map(
          (method) => `${method.toUpperCase()} ${path.replaceAll(/\{\w+\}/g, '{}')}`,
        ),
      ),
    );
    const served = servedRoutes().filter((route) => !route.startsWith('HEAD '));
    expect(served.length).toBeGreaterThan(50);
    const missing = served.filter(
      (route) =>
        !documented.has(route) && !/^\w+ \/(docs|metrics|openapi\.json|health)/.test(route),
    );
    expect(missing).toEqual([]);
    // Decisions and forward-auth are answered before the router; all else that is told is there.
    const apart = /^\w+ \/v1\/(decisions|forward-auth)/;
    const invented = [...documented].filter(
      (route) => !served.includes(route) && !apart.test(route),
    );
    expect(invented).toEqual([]);
  });

  it('names each operation once, and says of each what it answers', () => {
    const operations = Object.entries(paths()).flatMap(([path, item]) =>
      Object.entries(item).map(([method, operation]) => ({ name: `${method} ${path}`, operation })),
    );
    const ids = operations.map(({ operation }) => operation['operationId']);
    expect(new Set(ids).size).toBe(ids.length);
    const silent = operations.filter(
      ({ operation }) =>
        !Object.keys(operation['responses'] as Json).some((s) => s.startsWith('2')),
    );
    expect(silent.map(({ name }) => name)).toEqual([]);
  });
});

/** The document with closed objects: a member that it does not name is a fault. */
function closed(node: unknown): unknown {
  if (Array.isArray(node)) return node.map(closed);
  if (typeof node !== 'object' || node === null) return node;
  const copy = Object.fromEntries(
    Object.entries(node).map(([name, member]) => [name, closed(member)]),
  );
  const isObject = copy['type'] === 'object' && typeof copy['properties'] === 'object';
  return isObject && !('additionalProperties' in copy)
    ? { ...copy, additionalProperties: false }
    : copy;
}

/** What is wrong with an answer by its documentation; the template is that of the path. */
function faultsOf(method: string, template: string, status: number, body: unknown): string[] {
  const operation = paths()[template]?.[method.toLowerCase()];
  const response = (operation?.['responses'] as Record<string, Json> | undefined)?.[status];
  if (!response) return [`${method} ${template} ${status} is not documented`];
  const content = response['content'] as Record<string, { schema?: Json }> | undefined;
  const schema = content?.['application/json']?.schema;
  if (!schema) return [`${method} ${template} ${status} has no schema`];
  const ajv = new Ajv2020({ strict: false, validateFormats: false, allErrors: true });
  const components = closed(document['components']) as Json;
  const isValid = ajv.compile({ ...(closed(schema) as Json), components });
  if (isValid(JSON.parse(JSON.stringify(body)))) return [];
  return (isValid.errors ?? []).map(
    ({ instancePath, message, params }) =>
      `${method} ${template}${instancePath} ${message} ${JSON.stringify(params)}`,
  );
}

const QUERY: Record<string, string> = {
  by: 'key',
  decisionId: 'dec_1',
  from: '2026-11-01T00:00:00Z',
  to: '2026-11-02T00:00:00Z',
  interval: 'hour',
};

/** The parameters without which the route refuses. */
function requiredQuery(method: string, template: string): string {
  const parameters = (paths()[template]?.[method.toLowerCase()]?.['parameters'] ?? []) as {
    readonly name: string;
    readonly in: string;
    readonly required?: boolean;
  }[];
  const pairs = parameters
    .filter((parameter) => parameter.in === 'query' && parameter.required)
    .map(({ name }) => `${name}=${QUERY[name] ?? ''}`);
  return pairs.length > 0 ? `?${pairs.join('&')}` : '';
}

describe('answers', () => {
  it('are what the document says, with nothing that it does not name', async () => {
    const faults: string[] = [];
    const ids: Record<string, string> = {};
    const call = async (
      method: string,
      template: string,
      body?: object,
      token = api.ownerToken,
    ) => {
      const path = template.replaceAll(/\{(\w+)\}/g, (_, name: string) => ids[name] ?? 'nothing');
      const answer = await api.call(method, path + requiredQuery(method, template), {
        token,
        ...(body && { body }),
      });
      expect({ path, isGood: answer.status < 300, body: answer.body }).toMatchObject({
        path,
        isGood: true,
      });
      faults.push(...faultsOf(method, template, answer.status, answer.body));
      return answer.body;
    };
    ids['apiId'] = (await call('POST', '/v1/apis', { name: 'Pets' })).id;
    await call('POST', '/v1/apis/{apiId}/stages', { name: 'prod' });
    const stages = [{ apiId: ids['apiId'], stage: 'prod' }];
    const throttle = { rateLimit: 5, burstLimit: 5 };
    const quota = { limit: 10, period: 'DAY', offset: 0 };
    const plan = { name: 'Basic', apiStages: stages, throttle, quota };
    ids['usagePlanId'] = (await call('POST', '/v1/usage-plans', plan)).id;
    ids['customerId'] = (await call('POST', '/v1/customers', { name: 'Ada' })).id;
    const { customerId, usagePlanId } = ids;
    const key = await call('POST', '/v1/api-keys', {
      customerId,
      ipPolicy: { deny: ['10.0.0.0/8'] },
    });
    ids['apiKeyId'] = ids['keyId'] = key.id;
    await call('POST', '/v1/usage-plans/{usagePlanId}/keys', { keyId: key.id });
    await call('POST', '/v1/tokens', { name: 'x', role: 'read-only' });
    await call('POST', '/v1/customers/{customerId}/tokens', { name: 'x' });
    ids['gatewayId'] = (await call('POST', '/v1/gateways', { name: 'edge' })).id;
    const items = [{ meter: null, description: 'Fee', price: { model: 'flat', amount: '1' } }];
    const card = await call('POST', '/v1/rate-cards', { name: 'C', currency: 'USD', items });
    ids['rateCardId'] = card.id;
    const subscription = { customerId, usagePlanId, rateCardId: card.id };
    ids['subscriptionId'] = (await call('POST', '/v1/subscriptions', subscription)).id;
    const price = { model: 'per-unit', unitAmount: '0.01' };
    await call('POST', '/v1/prices/preview', { currency: 'USD', price, quantity: '5' });
    const question = { apiId: ids['apiId'], stage: 'prod', method: 'GET', path: '/x' };
    for (const apiKey of [key.value, null]) {
      await call('POST', '/v1/decisions', { apiKey, ...question }, api.gatewayToken);
      await call(
        'POST',
        '/v1/decisions',
        { decisions: [{ apiKey, ...question }] },
        api.gatewayToken,
      );
    }
    const usage = {
      apiId: ids['apiId'],
      stage: 'prod',
      keyId: key.id,
      decisionIds: ['dec_1'],
      at: new Date().toISOString(),
      method: 'GET',
      resourcePath: '/',
      statusClass: '2xx',
      quantities: { calls: '1' },
    };
    const voids = { epoch: 'e', sequence: 1, index: 0 };
    const batch = { epoch: 'e', sequence: 0, records: [usage, { voids }] };
    await call('POST', '/v1/usage/batches', batch, api.gatewayToken);
    const gatewayId = (await call('GET', '/v1/usage/records')).items[0].gatewayId;
    const corrections = [{ gatewayId, epoch: 'e', sequence: 0, index: 0, void: true }];
    const made = await call('POST', '/v1/usage/corrections', { corrections, reason: 'x' });
    ids['correctionId'] = made.items[0].id;
    await call('PUT', '/v1/stripe', { secretKey: STRIPE_KEY });
    await call('PUT', '/v1/customers/{customerId}/stripe', {});
    // Every GET of the document whose path is made of what was made above.
    for (const [template, item] of Object.entries(paths())) {
      const names = [...template.matchAll(/\{(\w+)\}/g)].map(([, name = '']) => name);
      const isJson = JSON.stringify(item['get']?.['responses'] ?? {}).includes('application/json');
      if (!isJson || template.includes('forward-auth')) continue;
      if (names.every((name) => ids[name] !== undefined)) await call('GET', template);
    }
    expect(faults).toEqual([]);
  });
});
