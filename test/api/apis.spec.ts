import { readFileSync } from 'node:fs';
import { beforeAll, describe, expect, it } from 'vitest';
import { startApi, type TestApi } from '../support/api.js';

const PETSTORE = readFileSync(
  new URL('../../examples/petstore.openapi.yaml', import.meta.url),
  'utf8',
);
const SMALL = (paths: Record<string, string[]>, version = '1') =>
  JSON.stringify({
    openapi: '3.0.3',
    info: { title: 'Small', version },
    paths: Object.fromEntries(
      Object.entries(paths).map(([path, verbs]) => [
        path,
        Object.fromEntries(
          verbs.map((verb) => [verb, { responses: { 200: { description: '' } } }]),
        ),
      ]),
    ),
  });

let api: TestApi;
beforeAll(async () => {
  api = await startApi();
});

const createApi = async (body: object = { name: 'Pets' }) => {
  const { status, body: created } = await api.call('POST', '/v1/apis', { body });
  expect(status).toBe(201);
  return created;
};

const putDocument = (id: string, document: string, query = '', type = 'application/json') =>
  api.call('PUT', `/v1/apis/${id}/document${query}`, {
    body: document,
    headers: { 'content-type': type },
  });

describe('POST /v1/apis', () => {
  it('201: makes an api with the settings left out at their defaults', async () => {
    const { status, body } = await api.call('POST', '/v1/apis', { body: { name: 'Pets' } });
    expect(status).toBe(201);
    expect(body).toMatchObject({
      id: expect.stringMatching(/^[a-z0-9]{10}$/),
      name: 'Pets',
      protocol: 'REST',
      description: null,
      version: null,
      ambiguousPath: 'refuse',
    });
  });

  it('201: takes the methods, and the name, from a document', async () => {
    const created = await createApi({ document: PETSTORE });
    expect(created).toMatchObject({ name: expect.stringContaining('Petstore') });
    const { body } = await api.call('GET', `/v1/apis/${created.id}/methods`);
    expect(body.items).toContainEqual(
      expect.objectContaining({ httpMethod: 'GET', resourcePath: '/pets/{petId}' }),
    );
  });

  it('201: makes one api however often it is repeated with an Idempotency-Key', async () => {
    const call = () =>
      api.call('POST', '/v1/apis', {
        body: { name: 'Once' },
        headers: { 'idempotency-key': 'create-once' },
      });
    const [first, second] = [await call(), await call()];
    expect(second.body).toEqual(first.body);
  });

  it('400: makes nothing of a bad document, and tells the places of its faults', async () => {
    const before = await api.call('GET', '/v1/apis?limit=500');
    const { status, body } = await api.call('POST', '/v1/apis', {
      body: { name: 'Bad', document: SMALL({ '/a/{x}': ['get'], '/a/{y}': ['get'] }) },
    });
    expect(status).toBe(400);
    expect(body).toMatchObject({
      type: 'https://tollgate.dev/problems/invalid-api-document',
      errors: [{ pointer: '/paths/~1a~1{y}' }],
    });
    const after = await api.call('GET', '/v1/apis?limit=500');
    expect(after.body.items).toHaveLength(before.body.items.length);
  });

  it('400: asks for a name where the document has none', async () => {
    const { status, body } = await api.call('POST', '/v1/apis', { body: {} });
    expect(status).toBe(400);
    expect(body.errors).toEqual([{ pointer: '/name', detail: 'is required' }]);
  });
});

describe('GET /v1/apis', () => {
  it('200: pages through all of them, newest first, without a gap or a repeat', async () => {
    const ids = [];
    for (let i = 0; i < 5; i += 1) ids.unshift((await createApi({ name: `Page ${i}` })).id);
    const seen: string[] = [];
    let next: string | undefined = '';
    while (next !== undefined) {
      const cursor: string = next && `&cursor=${encodeURIComponent(next)}`;
      const { body } = await api.call('GET', `/v1/apis?limit=2${cursor}`);
      seen.push(...body.items.map((item: { id: string }) => item.id));
      next = body.next;
    }
    expect(seen.slice(0, 5)).toEqual(ids);
    expect(new Set(seen).size).toBe(seen.length);
  });

  it('400: takes no cursor of another list', async () => {
    await createApi();
    await createApi();
    const { body } = await api.call('GET', '/v1/apis?limit=1');
    const other = await api.call('GET', `/v1/usage-plans?cursor=${body.next}`);
    expect(other.status).toBe(400);
    expect(other.body.errors[0].pointer).toBe('/cursor');
  });
});

describe('PATCH /v1/apis/{apiId}', () => {
  it('200: changes what is given and leaves the rest', async () => {
    const { id } = await createApi({ name: 'Old', description: 'stays' });
    const { status, body } = await api.call('PATCH', `/v1/apis/${id}`, { body: { name: 'New' } });
    expect(status).toBe(200);
    expect(body).toMatchObject({ name: 'New', description: 'stays' });
  });

  it('412: refuses to overwrite a version that the caller has not seen', async () => {
    const { id } = await createApi();
    const { headers } = await api.call('GET', `/v1/apis/${id}`);
    const etag = headers.get('etag') ?? '';
    const patch = (name: string) =>
      api.call('PATCH', `/v1/apis/${id}`, { body: { name }, headers: { 'if-match': etag } });
    const first = await patch('A');
    expect(first.status).toBe(200);
    const second = await patch('B');
    expect(second.status).toBe(412);
    expect(second.body.type).toMatch(/version-mismatch$/);
    expect((await api.call('GET', `/v1/apis/${id}`)).body.name).toBe('A');
    expect(first.headers.get('etag')).toBe(
      (await api.call('GET', `/v1/apis/${id}`)).headers.get('etag'),
    );
  });

  it('412: lets one of many writers of the same version through', async () => {
    const { id } = await createApi();
    const etag = (await api.call('GET', `/v1/apis/${id}`)).headers.get('etag') ?? '';
    const answers = await Promise.all(
      Array.from({ length: 10 }, (_, i) =>
        api.call('PATCH', `/v1/apis/${id}`, {
          body: { name: `Writer ${i}` },
          headers: { 'if-match': etag },
        }),
      ),
    );
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(1);
    expect(answers.filter(({ status }) => status === 412)).toHaveLength(9);
  });
});

describe('PUT /v1/apis/{apiId}/document', () => {
  it('200: replaces the methods, from JSON or YAML', async () => {
    const { id } = await createApi();
    const yaml = await putDocument(id, PETSTORE, '', 'application/yaml');
    expect(yaml.status).toBe(200);
    const json = await putDocument(id, SMALL({ '/a': ['get', 'post'], '/b': ['get'] }, '7'));
    expect(json.body).toMatchObject({
      title: 'Small',
      version: '7',
      methods: 3,
      added: ['/a/GET', '/a/POST', '/b/GET'],
      dryRun: false,
    });
    expect(json.body.removed).toHaveLength(yaml.body.methods);
    expect((await api.call('GET', `/v1/apis/${id}`)).body.version).toBe('7');
    expect((await api.call('GET', `/v1/apis/${id}/methods`)).body.items).toHaveLength(3);
  });

  it('200: a dry run tells what would change and changes nothing', async () => {
    const { id } = await createApi({ document: SMALL({ '/a': ['get'] }) });
    const { body } = await putDocument(id, SMALL({ '/b': ['get'] }), '?dryRun=true');
    expect(body).toMatchObject({ added: ['/b/GET'], removed: ['/a/GET'], dryRun: true });
    const { body: methods } = await api.call('GET', `/v1/apis/${id}/methods`);
    expect(methods.items).toMatchObject([{ resourcePath: '/a' }]);
  });

  it('409: names the methods that would vanish and have throttles', async () => {
    const { id } = await createApi({ document: SMALL({ '/a': ['get'], '/b': ['get'] }) });
    await api.call('POST', `/v1/apis/${id}/stages`, {
      body: { name: 'prod', methodThrottles: { '/a/GET': { rateLimit: 1, burstLimit: 1 } } },
    });
    const { status, body } = await putDocument(id, SMALL({ '/c': ['get'] }));
    expect(status).toBe(409);
    expect(body).toMatchObject({ methodCount: 1, methods: ['/a/GET'] });
    expect(body.type).toMatch(/methods-in-use$/);
  });

  it('400: refuses what is no document, with lines', async () => {
    const { id } = await createApi();
    const { status, body } = await putDocument(id, 'a: [', '', 'application/yaml');
    expect(status).toBe(400);
    expect(body.errors[0]).toHaveProperty('line');
  });

  it('413: takes at most 5 MiB', async () => {
    const { id } = await createApi();
    const { status } = await putDocument(id, `{"a":"${'x'.repeat(5 * 1024 * 1024)}"}`);
    expect(status).toBe(413);
  });

  it('404: for an api that is not there', async () => {
    expect((await putDocument('nothing', SMALL({}))).status).toBe(404);
  });
});

describe('DELETE /v1/apis/{apiId}', () => {
  it('204: takes stages and methods with it', async () => {
    const { id } = await createApi({ document: SMALL({ '/a': ['get'] }) });
    await api.call('POST', `/v1/apis/${id}/stages`, { body: { name: 'prod' } });
    expect((await api.call('DELETE', `/v1/apis/${id}`)).status).toBe(204);
    expect((await api.call('GET', `/v1/apis/${id}`)).status).toBe(404);
    expect((await api.call('DELETE', `/v1/apis/${id}`)).status).toBe(404);
  });

  it('409: while a usage plan offers one of its stages', async () => {
    const { id } = await createApi();
    await api.call('POST', `/v1/apis/${id}/stages`, { body: { name: 'prod' } });
    const plan = await api.call('POST', '/v1/usage-plans', {
      body: { name: 'Basic', apiStages: [{ apiId: id, stage: 'prod' }] },
    });
    const { status, body } = await api.call('DELETE', `/v1/apis/${id}`);
    expect(status).toBe(409);
    expect(body.usagePlanIds).toEqual([plan.body.id]);
  });
});

describe('/v1/apis/{apiId}/stages', () => {
  const stages = (id: string) => `/v1/apis/${id}/stages`;

  it('201: POST keeps throttles, of methods too', async () => {
    const { id } = await createApi({ document: SMALL({ '/': ['get'], '/a': ['post'] }) });
    const throttle = { rateLimit: 1e9, burstLimit: 2 ** 31 - 1 };
    const { status, body } = await api.call('POST', stages(id), {
      body: {
        name: 'prod',
        throttle,
        methodThrottles: { '/GET': throttle, '/a/POST': { rateLimit: 0.5, burstLimit: 0 } },
      },
    });
    expect(status).toBe(201);
    expect(body).toMatchObject({ apiId: id, name: 'prod', throttle });
    expect(body.methodThrottles).toEqual({
      '//GET': throttle,
      '/a/POST': { rateLimit: 0.5, burstLimit: 0 },
    });
  });

  it('400: POST refuses methods that the api does not have', async () => {
    const { id } = await createApi({ document: SMALL({ '/a': ['get'] }) });
    const { status, body } = await api.call('POST', stages(id), {
      body: { name: 'prod', methodThrottles: { '/b/GET': { rateLimit: 1, burstLimit: 1 } } },
    });
    expect(status).toBe(400);
    expect(body.errors[0].pointer).toBe('/methodThrottles/~1b~1GET');
  });

  it('201: POST takes any method while the api has none yet', async () => {
    const { id } = await createApi();
    const { status } = await api.call('POST', stages(id), {
      body: { name: 'prod', methodThrottles: { '/b/GET': { rateLimit: 1, burstLimit: 1 } } },
    });
    expect(status).toBe(201);
  });

  it('409: POST of a name that is taken', async () => {
    const { id } = await createApi();
    await api.call('POST', stages(id), { body: { name: 'prod' } });
    const { status, body } = await api.call('POST', stages(id), { body: { name: 'prod' } });
    expect(status).toBe(409);
    expect(body.type).toMatch(/stage-exists$/);
  });

  it('404: POST to an api that is not there', async () => {
    const { status } = await api.call('POST', stages('nothing'), { body: { name: 'prod' } });
    expect(status).toBe(404);
  });

  it('200: PATCH replaces what is given as a whole, and null takes it away', async () => {
    const { id } = await createApi();
    const throttle = { rateLimit: 1, burstLimit: 2 };
    await api.call('POST', stages(id), {
      body: { name: 'prod', throttle, methodThrottles: { '/a/GET': throttle, '/b/GET': throttle } },
    });
    const other = { rateLimit: 3, burstLimit: 4 };
    const { body } = await api.call('PATCH', `${stages(id)}/prod`, {
      body: { throttle: null, methodThrottles: { '/b/GET': other, '/c/GET': throttle } },
    });
    expect(body.throttle).toBeNull();
    expect(body.methodThrottles).toEqual({ '/b/GET': other, '/c/GET': throttle });
    const { body: renamed } = await api.call('PATCH', `${stages(id)}/prod`, {
      body: { description: 'x' },
    });
    expect(renamed.methodThrottles).toEqual(body.methodThrottles);
  });

  it('200: GET lists and shows them, with an ETag', async () => {
    const { id } = await createApi();
    for (const name of ['one', 'two', '$default']) {
      await api.call('POST', stages(id), { body: { name } });
    }
    const first = await api.call('GET', `${stages(id)}?limit=2`);
    const second = await api.call('GET', `${stages(id)}?limit=2&cursor=${first.body.next}`);
    const names = [...first.body.items, ...second.body.items].map(({ name }) => name);
    expect(names).toEqual(['$default', 'two', 'one']);
    const one = await api.call('GET', `${stages(id)}/$default`);
    expect(one.headers.get('etag')).toMatch(/^"\w+"$/);
  });

  it('204: DELETE, and 409 while a usage plan offers it', async () => {
    const { id } = await createApi();
    await api.call('POST', stages(id), { body: { name: 'free' } });
    await api.call('POST', stages(id), { body: { name: 'sold' } });
    await api.call('POST', '/v1/usage-plans', {
      body: { name: 'Basic', apiStages: [{ apiId: id, stage: 'sold' }] },
    });
    expect((await api.call('DELETE', `${stages(id)}/free`)).status).toBe(204);
    expect((await api.call('DELETE', `${stages(id)}/free`)).status).toBe(404);
    const { status, body } = await api.call('DELETE', `${stages(id)}/sold`);
    expect(status).toBe(409);
    expect(body.type).toMatch(/stage-in-use$/);
  });
});
