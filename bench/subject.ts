/** An api with keys in a plan that refuses nothing: a throttle at two levels and a monthly quota. */
export interface BenchSubject {
  readonly apiId: string;
  readonly keys: readonly string[];
}

interface Service {
  readonly url: string;
  readonly operatorToken: string;
}

const LARGE = { rateLimit: 1e6, burstLimit: 1_000_000 };

/** Makes it over the control plane of a running service. */
export async function newSubject(service: Service, keys: number): Promise<BenchSubject> {
  const apiId = String((await ask(service, 'POST', '/v1/apis', { name: 'Petstore' }))['id']);
  const operation = { responses: { 200: { description: '' } } };
  await ask(service, 'PUT', `/v1/apis/${apiId}/document`, {
    openapi: '3.0.3',
    info: { title: 'Petstore', version: '1' },
    paths: {
      '/pets': { get: operation, post: operation },
      '/pets/{petId}': { get: operation, delete: operation },
      '/orders/{id}': { get: operation },
    },
  });
  await ask(service, 'POST', `/v1/apis/${apiId}/stages`, { name: 'prod', throttle: LARGE });
  const plan = await ask(service, 'POST', '/v1/usage-plans', {
    name: 'bench',
    apiStages: [{ apiId, stage: 'prod' }],
    throttle: LARGE,
    quota: { limit: 1e12, period: 'MONTH' },
  });
  const customer = await ask(service, 'POST', '/v1/customers', { name: 'Bench' });
  const values: string[] = [];
  for (let made = 0; made < keys; made += 1) {
    const key = await ask(service, 'POST', '/v1/api-keys', { customerId: customer['id'] });
    await ask(service, 'POST', `/v1/usage-plans/${String(plan['id'])}/keys`, { keyId: key['id'] });
    values.push(String(key['value']));
  }
  return { apiId, keys: values };
}

async function ask(
  { url, operatorToken }: Service,
  method: string,
  path: string,
  body: object,
): Promise<Record<string, unknown>> {
  const response = await fetch(url + path, {
    method,
    headers: { authorization: `Bearer ${operatorToken}`, 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
  const text = await response.text();
  if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text}`);
  return JSON.parse(text) as Record<string, unknown>;
}
