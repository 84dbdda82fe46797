import pg from 'pg';
import { beforeAll, describe, expect, it } from 'vitest';
import { afterFile } from '../support/after-file.js';
import { startApi, type TestApi } from '../support/api.js';
import { controlPlane } from '../support/control-plane.js';
import { documentedRoutes, pathOf, type Route, type Schema } from '../support/openapi-routes.js';

let api: TestApi;
let db: pg.Pool;
let routes: readonly Route[];
let before: Record<string, number>;

beforeAll(async () => {
  api = await startApi();
  db = new pg.Pool({ connectionString: api.databaseUrl });
  afterFile(() => db.end());
  routes = await documentedRoutes(api);
  before = await rowCounts();
});

/** Rows by table, without the audit log of what tests do on purpose. */
async function rowCounts(): Promise<Record<string, number>> {
  const { rows } = await db.query<{ name: string }>(
    `SELECT table_name AS name FROM information_schema.tables
     WHERE table_schema = 'public' AND table_type = 'BASE TABLE' AND table_name NOT LIKE '\\_prisma%'`,
  );
  const counts: Record<string, number> = {};
  for (const { name } of rows) {
    const { rows: found } = await db.query<{ n: number }>(`SELECT count(*)::int AS n FROM ${name}`);
    counts[name] = found[0]?.n ?? 0;
  }
  return counts;
}

function typesOf({ type, anyOf }: Schema): readonly string[] {
  if (anyOf) return anyOf.flatMap(typesOf);
  return typeof type === 'string' ? [type] : (type ?? ['object']);
}

/** Values that a field of the schema must refuse, as JSON texts. */
function badValues(schema: Schema): string[] {
  const types = typesOf(schema);
  const values: string[] = types.includes('null') ? [] : ['null'];
  if (!types.includes('object')) values.push('{}', '{"not":""}');
  if (!types.includes('array')) values.push('[]', '[[]]');
  if (!types.includes('boolean')) values.push('true');
  if (!types.includes('number') && !types.includes('integer')) values.push('0', '1e400');
  if (!types.includes('string')) values.push('"5"', '""', '"true"');
  if (types.includes('string')) {
    values.push('"a\\u0000b"', JSON.stringify('x'.repeat((schema.maxLength ?? 256) + 1)));
    if (schema.format === 'date-time') values.push('"99999-01-01T00:00:00Z"', '"2026-02-30"');
    if (schema.enum) values.push('"other"');
  }
  if (types.includes('number') || types.includes('integer')) {
    values.push('1e400', '-1e400');
    if (schema.minimum !== undefined) values.push(String(schema.minimum - 1));
    if (schema.maximum !== undefined && schema.maximum < 1e12)
      values.push(String(schema.maximum + 1));
  }
  if (types.includes('integer')) values.push('1.5');
  if (types.includes('array')) values.push('[null]', '[5]');
  return values;
}

const send = (route: Route, text: string) =>
  api.call(route.method, pathOf(route, {}), {
    body: text,
    headers: { 'content-type': 'application/json' },
  });

const pointersOf = (body: Record<string, unknown>): string[] =>
  ((body['errors'] ?? []) as { pointer: string }[]).map(({ pointer }) => pointer);

describe('bodies of every route', () => {
  it('are refused with the name of the field, whatever is wrong with it', async () => {
    const wrong: string[] = [];
    for (const route of routes.filter(({ body }) => body)) {
      for (const [name, schema] of Object.entries(route.body?.properties ?? {})) {
        for (const value of badValues(schema)) {
          const { status, body } = await send(route, `{"${name}":${value}}`);
          const isNamed = pointersOf(body).some((pointer) => pointer.startsWith(`/${name}`));
          if (status === 400 && isNamed) continue;
          if (status === 413 && value.length > 200_000) continue;
          wrong.push(
            `${route.name} {"${name}":${value.slice(0, 40)}} → ${status} ${pointersOf(body).join()}`,
          );
        }
      }
    }
    expect(wrong).toEqual([]);
  });

  it('are refused when they are no object, no JSON, or have fields that nobody knows', async () => {
    const wrong: string[] = [];
    const deep = `${'{"a":'.repeat(40)}1${'}'.repeat(40)}`;
    for (const route of routes.filter(({ body }) => body)) {
      for (const [text, statuses] of [
        ['[]', [400]],
        ['[{}]', [400]],
        ['5', [400]],
        ['"x"', [400]],
        ['null', [400]],
        ['{', [400]],
        ['{"name":', [400]],
        ['{"nobody knows":1}', [400]],
        ['{"__proto__":{"role":"owner"}}', [400]],
        ['{"constructor":1}', [400]],
        [deep, [400]],
        [`{"name":"${'x'.repeat(10_000_000)}"}`, [413]],
      ] as const) {
        const { status } = await send(route, text);
        if ((statuses as readonly number[]).includes(status)) continue;
        wrong.push(`${route.name} ${text.slice(0, 40)} → ${status}`);
      }
    }
    expect(wrong).toEqual([]);
  });

  it('are taken as JSON only', async () => {
    for (const route of routes.filter(({ body }) => body)) {
      for (const type of ['text/plain', 'application/x-www-form-urlencoded', 'application/yaml']) {
        const { status } = await api.call(route.method, pathOf(route, {}), {
          body: 'a=b',
          headers: { 'content-type': type },
        });
        expect({ route: route.name, type, status }).toEqual({
          route: route.name,
          type,
          status: 415,
        });
      }
    }
  });
});

describe('queries of every route', () => {
  it('are refused with the name of the parameter', async () => {
    const wrong: string[] = [];
    for (const route of routes) {
      const path = pathOf(route, {});
      const queries: [string, string][] = route.queryParameters.flatMap(({ name, schema }) => {
        const types = typesOf(schema);
        const values = [`${name}=a&${name}=b`, `${name}=${'x'.repeat(3_000)}`, `${name}[a]=b`];
        if (types.includes('integer')) values.push(`${name}=0x10`, `${name}=-1`, `${name}=`);
        return values.map((value): [string, string] => [name, value]);
      });
      // Forward-auth never reads the query: gateways append the client's own.
      const readsNoQuery = route.name.includes('/forward-auth/');
      if (route.method === 'GET' && !readsNoQuery) queries.push(['nobody', 'nobody=1']);
      for (const [name, query] of queries) {
        const isOfGateways = route.name.includes('/v1/gateway/');
        const token = isOfGateways ? { token: api.gatewayToken } : {};
        const { status, body } = await api.call(route.method, `${path}?${query}`, token);
        const isNamed = pointersOf(body).some((pointer) => pointer.includes(name));
        if (status === 400 && isNamed) continue;
        if (status === 415 || (status === 400 && route.method !== 'GET')) continue;
        wrong.push(`${route.name}?${query.slice(0, 40)} → ${status} ${pointersOf(body).join()}`);
      }
    }
    expect(wrong).toEqual([]);
  });
});

describe('ids of every route', () => {
  it('find nothing when they are strange, and break nothing', async () => {
    const wrong: string[] = [];
    const strange = [
      "' OR 1=1 --",
      '../../etc/passwd',
      '%00',
      '%ff%fe',
      '\u{1F4A9}',
      'x'.repeat(300),
      '*',
      'null',
      'constructor',
    ];
    for (const route of routes.filter(({ pathParameters }) => pathParameters.length > 0)) {
      for (const id of strange) {
        const encoded = id.startsWith('%') ? id : encodeURIComponent(id);
        const path = route.path.replaceAll(/\{\w+\}/g, encoded);
        const { status } = await api.call(route.method, path);
        if (status >= 400 && status < 500) continue;
        wrong.push(`${route.method} ${path.slice(0, 80)} → ${status}`);
      }
    }
    expect(wrong).toEqual([]);
  });
});

describe('none of it', () => {
  it('wrote a row', async () => {
    expect(await rowCounts()).toEqual(before);
  });
});

describe('a name with SQL in it', () => {
  it('is a name', async () => {
    const name = `Robert'); DROP TABLE api; --`;
    const created = await controlPlane(api).api({ name });
    expect((await api.call('GET', `/v1/apis/${created.id}`)).body.name).toBe(name);
  });
});
