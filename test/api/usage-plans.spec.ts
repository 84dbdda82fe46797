import pg from 'pg';
import { beforeAll, describe, expect, it } from 'vitest';
import { afterFile } from '../support/after-file.js';
import { startApi, type TestApi } from '../support/api.js';
import { controlPlane } from '../support/control-plane.js';

let api: TestApi;
let make: ReturnType<typeof controlPlane>;
let db: pg.Pool;
beforeAll(async () => {
  api = await startApi();
  make = controlPlane(api);
  db = new pg.Pool({ connectionString: api.databaseUrl });
  afterFile(() => db.end());
});

const throttle = { rateLimit: 5, burstLimit: 10 };
const statuses = (answers: readonly { status: number }[], status: number) =>
  answers.filter((answer) => answer.status === status).length;

describe('POST /v1/usage-plans', () => {
  it('201: keeps stages, throttles and quota in the words of Amazon', async () => {
    const { apiId, stage } = await make.apiStage();
    const { status, body } = await api.call('POST', '/v1/usage-plans', {
      body: {
        name: 'Basic',
        apiStages: [{ apiId, stage, throttle: { '/pets/GET': throttle } }],
        throttle,
        quota: { limit: 1000, period: 'DAY' },
        productCode: 'abc',
      },
    });
    expect(status).toBe(201);
    expect(body).toMatchObject({
      id: expect.stringMatching(/^[a-z0-9]{6}$/),
      apiStages: [{ apiId, stage, throttle: { '/pets/GET': throttle } }],
      throttle,
      quota: { limit: 1000, offset: 0, period: 'DAY' },
      productCode: 'abc',
      onFailure: 'deny',
      shadow: false,
    });
    expect((await api.call('GET', `/v1/usage-plans/${body.id}`)).body).toEqual(body);
  });

  it.each([
    {
      body: { apiStages: [{ apiId: 'nothing', stage: 'prod' }] },
      pointer: '/apiStages/0/stage',
      why: 'the stage is not there',
    },
    {
      body: { quota: { limit: 1, offset: 1, period: 'DAY' } },
      pointer: '/quota/offset',
      why: 'a day has one start',
    },
    {
      body: { quota: { limit: 1, offset: 7, period: 'WEEK' } },
      pointer: '/quota/offset',
      why: 'a week has seven days',
    },
    {
      body: { quota: { limit: 0, period: 'DAY' } },
      pointer: '/quota/limit',
      why: 'a quota of none is none',
    },
    {
      body: { throttle: { rateLimit: 5 } },
      pointer: '/throttle/burstLimit',
      why: 'a throttle has both numbers',
    },
    {
      body: { throttle: { rateLimit: 1e9 + 1, burstLimit: 1 } },
      pointer: '/throttle/rateLimit',
      why: 'rates have an end',
    },
  ])('400: names $pointer: $why', async ({ body, pointer }) => {
    const answer = await api.call('POST', '/v1/usage-plans', { body: { name: 'Bad', ...body } });
    expect(answer.status).toBe(400);
    expect(answer.body.errors[0].pointer).toBe(pointer);
  });

  it('400: takes a stage once, and throttles only of methods that are there', async () => {
    const { id: apiId } = await make.api({
      document: JSON.stringify({
        openapi: '3.0.3',
        info: { title: 'A', version: '1' },
        paths: { '/a': { get: { responses: { 200: { description: '' } } } } },
      }),
    });
    await make.stage(apiId);
    const place = { apiId, stage: 'prod' };
    const twice = await api.call('POST', '/v1/usage-plans', {
      body: { name: 'Bad', apiStages: [place, place] },
    });
    expect(twice.body.errors[0].pointer).toBe('/apiStages/1');
    const unknown = await api.call('POST', '/v1/usage-plans', {
      body: { name: 'Bad', apiStages: [{ ...place, throttle: { '/b/GET': throttle } }] },
    });
    expect(unknown.body.errors[0].pointer).toBe('/apiStages/0/throttle/~1b~1GET');
  });
});

describe('PATCH /v1/usage-plans/{id}', () => {
  it('200: replaces the members given, and null takes limits away', async () => {
    const [one, two] = [await make.apiStage(), await make.apiStage()];
    const plan = await make.usagePlan({
      apiStages: [one],
      throttle,
      quota: { limit: 5, period: 'MONTH', offset: 3 },
    });
    const { body } = await api.call('PATCH', `/v1/usage-plans/${plan.id}`, {
      body: { apiStages: [two], throttle: null },
    });
    expect(body).toMatchObject({
      name: 'Basic',
      throttle: null,
      quota: { limit: 5, period: 'MONTH', offset: 3 },
    });
    expect(body.apiStages).toEqual([{ ...two, throttle: {} }]);
  });

  it('200: touches no row of a stage that stays', async () => {
    const [one, two] = [await make.apiStage(), await make.apiStage()];
    const plan = await make.usagePlan({ apiStages: [one] });
    const rows = () =>
      db.query(`SELECT api_id, xmin::text FROM usage_plan_stage WHERE usage_plan_id = $1`, [
        plan.id,
      ]);
    const before = (await rows()).rows;
    await api.call('PATCH', `/v1/usage-plans/${plan.id}`, { body: { apiStages: [two, one] } });
    expect((await rows()).rows).toEqual(expect.arrayContaining(before));
  });

  it('409: adds no stage on which a key of the plan is by another plan, and names both', async () => {
    const place = await make.apiStage();
    const [first, second] = [await make.usagePlan({ apiStages: [place] }), await make.usagePlan()];
    const { id: keyId } = await make.apiKey();
    for (const { id } of [first, second]) {
      await api.call('POST', `/v1/usage-plans/${id}/keys`, { body: { keyId } });
    }
    const { status, body } = await api.call('PATCH', `/v1/usage-plans/${second.id}`, {
      body: { name: 'Changed', apiStages: [place] },
    });
    expect(status).toBe(409);
    expect(body).toMatchObject({ keyId, usagePlanId: first.id, ...place });
    expect(body.type).toMatch(/key-already-on-stage$/);
    const { body: unchanged } = await api.call('GET', `/v1/usage-plans/${second.id}`);
    expect(unchanged).toEqual(second);
  });

  it('409: of 20 plans that add the stage of one key at once, one gets it', async () => {
    const place = await make.apiStage();
    const { id: keyId } = await make.apiKey();
    const plans: string[] = [];
    for (let i = 0; i < 20; i += 1) {
      const { id } = await make.usagePlan();
      await api.call('POST', `/v1/usage-plans/${id}/keys`, { body: { keyId } });
      plans.push(id);
    }
    const answers = await Promise.all(
      plans.map((id) =>
        api.call('PATCH', `/v1/usage-plans/${id}`, { body: { apiStages: [place] } }),
      ),
    );
    expect(statuses(answers, 200)).toBe(1);
    expect(statuses(answers, 409)).toBe(19);
  });
});

describe('DELETE /v1/usage-plans/{id}', () => {
  it('204: lets its keys go', async () => {
    const plan = await make.usagePlan();
    const { id: keyId } = await make.apiKey();
    await api.call('POST', `/v1/usage-plans/${plan.id}/keys`, { body: { keyId } });
    expect((await api.call('DELETE', `/v1/usage-plans/${plan.id}`)).status).toBe(204);
    expect((await api.call('GET', `/v1/usage-plans/${plan.id}`)).status).toBe(404);
  });

  it('409: while it offers a stage, as Amazon does', async () => {
    const place = await make.apiStage();
    const plan = await make.usagePlan({ apiStages: [place] });
    const { status, body } = await api.call('DELETE', `/v1/usage-plans/${plan.id}`);
    expect(status).toBe(409);
    expect(body).toMatchObject({ ...place, detail: expect.stringContaining('Cannot delete') });
  });
});

describe('/v1/usage-plans/{id}/keys', () => {
  it('201, 200, 204: puts keys in, lists them newest first, and lets them go', async () => {
    const plan = await make.usagePlan();
    const keys = [await make.apiKey({ name: 'a' }), await make.apiKey(), await make.apiKey()];
    const path = `/v1/usage-plans/${plan.id}/keys`;
    for (const { id } of keys) {
      const { status } = await api.call('POST', path, { body: { keyId: id } });
      expect(status).toBe(201);
    }
    const first = await api.call('GET', `${path}?limit=2`);
    const second = await api.call('GET', `${path}?limit=2&cursor=${first.body.next}`);
    const listed = [...first.body.items, ...second.body.items].map(({ keyId }) => keyId);
    expect(listed).toEqual(keys.map(({ id }) => id).reverse());
    const ofKey = await api.call('GET', `/v1/usage-plans?keyId=${keys[0]?.['id']}`);
    expect(ofKey.body.items.map(({ id }: { id: string }) => id)).toEqual([plan.id]);

    expect((await api.call('DELETE', `${path}/${keys[0]?.['id']}`)).status).toBe(204);
    expect((await api.call('DELETE', `${path}/${keys[0]?.['id']}`)).status).toBe(404);
  });

  it('400: for a key that is not there, 404: for a plan that is not', async () => {
    const plan = await make.usagePlan();
    const noKey = await api.call('POST', `/v1/usage-plans/${plan.id}/keys`, {
      body: { keyId: 'nothing' },
    });
    expect(noKey).toMatchObject({ status: 400, body: { errors: [{ pointer: '/keyId' }] } });
    const { id: keyId } = await make.apiKey();
    const noPlan = await api.call('POST', '/v1/usage-plans/nothin/keys', { body: { keyId } });
    expect(noPlan.status).toBe(404);
  });

  it('409: for a key that is in the plan, or on its stage by another plan', async () => {
    const place = await make.apiStage();
    const first = await make.usagePlan({ apiStages: [place] });
    const second = await make.usagePlan({ apiStages: [place] });
    const { id: keyId } = await make.apiKey();
    const add = (id: string) => api.call('POST', `/v1/usage-plans/${id}/keys`, { body: { keyId } });
    await add(first.id);
    expect((await add(first.id)).body.type).toMatch(/key-already-in-plan$/);
    const { status, body } = await add(second.id);
    expect(status).toBe(409);
    expect(body).toMatchObject({ keyId, usagePlanId: first.id, ...place });
    expect(body.type).toMatch(/key-already-on-stage$/);
  });

  it('409: of 20 plans of one stage that a key joins at once, one gets it', async () => {
    const place = await make.apiStage();
    const { id: keyId } = await make.apiKey();
    const plans = [];
    for (let i = 0; i < 20; i += 1) plans.push((await make.usagePlan({ apiStages: [place] })).id);
    const answers = await Promise.all(
      plans.map((id) => api.call('POST', `/v1/usage-plans/${id}/keys`, { body: { keyId } })),
    );
    expect(statuses(answers, 201)).toBe(1);
    expect(statuses(answers, 409)).toBe(19);
    const { rows } = await db.query('SELECT FROM usage_plan_key_stage WHERE key_id = $1', [keyId]);
    expect(rows).toHaveLength(1);
  });
});
