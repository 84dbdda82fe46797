import assert from 'node:assert';
import { createServer } from 'node:http';
import { describe, expect, it } from 'vitest';
import { InvalidApiDocument, type DocumentFault } from '../../errors.js';
import { readApiDocument } from './read-api-document.js';

async function faultsOf(source: string): Promise<readonly DocumentFault[]> {
  const refusal: unknown = await readApiDocument(source).then(
    () => 'accepted',
    (error: unknown) => error,
  );
  if (!(refusal instanceof InvalidApiDocument)) throw refusal;
  return refusal.facts.errors;
}

const OPENAPI = 'openapi: 3.0.3\ninfo: {title: A, version: "1"}\n';
const anOpenApi = (paths: object, more: object = {}) =>
  JSON.stringify({ openapi: '3.0.3', info: { title: 'A', version: '1' }, paths, ...more });
const OK = { responses: { 200: { description: 'fine' } } };

describe('readApiDocument', { timeout: 30_000 }, () => {
  it.each([
    { format: 'openapi-3.1', head: { openapi: '3.1.0' } },
    { format: 'openapi-3.0', head: { openapi: '3.0.0' } },
    { format: 'swagger-2.0', head: { swagger: '2.0' } },
  ])('reads $format', async ({ format, head }) => {
    const document = { ...head, info: { title: 'A', version: '1' }, paths: { '/a': { get: OK } } };
    const api = await readApiDocument(JSON.stringify(document, null, '\t'));
    expect(api.format).toBe(format);
    expect(api.methods).toEqual([{ method: 'GET', resourcePath: '/a', apiKeyRequired: false }]);
  });

  it.each<{ why: string; text: string; faults: DocumentFault[] }>([
    {
      why: 'YAML that breaks off, with line and column',
      text: 'openapi: 3.0.3\ninfo:\n  title: [A',
      faults: [
        expect.objectContaining({ pointer: '', detail: expect.stringContaining('cannot be read') }),
      ],
    },
    {
      why: 'JSON that breaks off, with line and column',
      text: '{\n  "openapi": "3.0.3",\n  "info": ]}',
      faults: [expect.objectContaining({ line: 3, column: expect.any(Number) })],
    },
    { why: 'a list', text: '[1]', faults: [{ pointer: '', detail: 'must be an object' }] },
    { why: 'nothing', text: '', faults: [expect.objectContaining({ pointer: '' })] },
    {
      why: 'two documents in one text',
      text: `${OPENAPI}paths: {}\n---\na: 1`,
      faults: [{ pointer: '', detail: 'must be a single document' }],
    },
    {
      why: 'a version without quotes',
      text: 'swagger: 2.0\ninfo: {title: A, version: "1"}\npaths: {}',
      faults: [{ pointer: '/swagger', detail: 'must be the text "2.0" in quotes', line: 1 }],
    },
    {
      why: 'a version that is not known',
      text: 'openapi: 4.0.0\npaths: {}',
      faults: [{ pointer: '/openapi', detail: 'must be the text "3.0.x" or "3.1.x"', line: 1 }],
    },
    {
      why: 'a missing field, at the operation that misses it',
      text: `${OPENAPI}paths:\n  /pets:\n    get:\n      summary: All\n`,
      faults: [{ pointer: '/paths/~1pets/get/responses', detail: 'is missing', line: 5 }],
    },
    {
      why: 'a wrong type among alternatives, without the noise of the others',
      text: `${OPENAPI}paths:\n  /pets:\n    get:\n      parameters:\n        - name: 7\n          in: query\n          schema: {type: string}\n      responses: {'200': {description: ok}}\n`,
      faults: [
        { pointer: '/paths/~1pets/get/parameters/0/name', detail: 'must be a string', line: 7 },
      ],
    },
    {
      why: 'an unknown field',
      text: `${OPENAPI}paths: {}\nsevers: []\n`,
      faults: [{ pointer: '/severs', detail: 'is not a field that may stand here', line: 4 }],
    },
    {
      why: 'duplicate keys',
      text: `${OPENAPI}paths: {}\npaths: {}\n`,
      faults: [
        { pointer: '', detail: 'cannot be read: duplicated mapping key', line: 4, column: 1 },
      ],
    },
    {
      why: 'templates that differ by a name only',
      text: `${OPENAPI}paths:\n  /pets/{a}: {}\n  /pets/{b}: {}\n`,
      faults: [
        {
          pointer: '/paths/~1pets~1{b}',
          detail: 'answers the same requests as "/pets/{a}"',
          line: 5,
        },
      ],
    },
  ])('refuses $why', async ({ text, faults }) => {
    expect(await faultsOf(text)).toEqual(faults);
  });

  it('tells at most 20 faults, and how many there are', async () => {
    const paths = Object.fromEntries(Array.from({ length: 50 }, (_, n) => [`/p${n}`, { get: {} }]));
    await expect(readApiDocument(anOpenApi(paths))).rejects.toMatchObject({
      code: 'invalid-api-document',
      facts: { faultCount: 50, errors: expect.objectContaining({ length: 20 }) },
    });
  });

  it('accepts words that only look dangerous', async () => {
    const schemas = {
      Team: { properties: { constructor: { type: 'string' }, $id: { type: 'string' } } },
      Race: { properties: { $ref: { type: 'string' }, $id: { type: 'string' } } },
    };
    const api = await readApiDocument(
      anOpenApi({ '/a': { get: OK } }, { components: { schemas } }),
    );
    expect(api.methods).toHaveLength(1);
  });
});

describe('readApiDocument, about one mistake', { timeout: 30_000 }, () => {
  const OPENAPI_30 = { openapi: '3.0.3' };
  const OPENAPI_31 = { openapi: '3.1.0' };
  const SWAGGER = { swagger: '2.0' };
  const at = '/paths/~1a~1{id}/get/parameters/0';
  it.each<{ head: object; parameter: object; faults: object[]; why: string }>([
    {
      head: OPENAPI_30,
      parameter: { name: 'id', in: 'path', schema: { type: 'string' } },
      faults: [{ pointer: `${at}/required`, detail: 'is missing' }],
      why: 'a path parameter that is not required',
    },
    {
      head: OPENAPI_31,
      parameter: { name: 'id', in: 'path', schema: { type: 'string' } },
      faults: [{ pointer: `${at}/required`, detail: 'is missing' }],
      why: 'a path parameter that is not required',
    },
    {
      head: SWAGGER,
      parameter: { name: 'id', in: 'path', type: 'string' },
      faults: [{ pointer: `${at}/required`, detail: 'is missing' }],
      why: 'a path parameter that is not required',
    },
    {
      head: SWAGGER,
      parameter: { name: 'id', in: 'cookie', type: 'string', required: true },
      faults: [
        {
          pointer: `${at}/in`,
          detail: 'must be one of "body", "header", "formData", "query", "path"',
        },
      ],
      why: 'a place that another version knows',
    },
  ])('tells only that: $why', async ({ head, parameter, faults }) => {
    const document = {
      ...head,
      info: { title: 'A', version: '1' },
      paths: { '/a/{id}': { get: { ...OK, parameters: [parameter] } } },
    };
    const told = await faultsOf(JSON.stringify(document));
    expect(told.map(({ pointer, detail }) => ({ pointer, detail }))).toEqual(faults);
  });
});

describe('readApiDocument, against bombs', { timeout: 30_000 }, () => {
  const aliasBomb = (() => {
    const lines = ['a0: &a0 [lol]'];
    for (let n = 1; n < 30; n++) lines.push(`a${n}: &a${n} [${`*a${n - 1},`.repeat(9)}]`);
    return lines.join('\n');
  })();
  const flatMap = Array.from({ length: 80_000 }, (_, n) => `k${n}: v`).join('\n');

  it.each<{ why: string; text: string; detail: RegExp }>([
    { why: 'aliases of aliases', text: aliasBomb, detail: /anchors \(&\)/ },
    { why: 'an alias', text: 'a: b\nc: *x', detail: /aliases \(\*\)/ },
    { why: 'a tag', text: 'a: !!binary aGk=', detail: /tags \(!\)/ },
    { why: 'a merge key', text: `${OPENAPI}paths: {}\n<<: {a: 1}`, detail: /merge key/ },
    { why: '100,000 open brackets', text: '['.repeat(100_000), detail: /cannot be read/ },
    { why: 'a flat map of 0.8 MB', text: flatMap, detail: /more than 20000 nodes/ },
    {
      why: 'JSON of a million levels',
      text: `{"a":${'['.repeat(1_000_000)}${']'.repeat(1_000_000)}}`,
      detail: /deeper than 64 levels/,
    },
    {
      why: 'JSON of a million values',
      text: `{"a":[${'0,'.repeat(1_000_000)}0]}`,
      detail: /more than 20000 nodes/,
    },
    { why: '__proto__ in JSON', text: '{"__proto__":{"polluted":1}}', detail: /not accepted/ },
    { why: '__proto__ in YAML', text: 'a:\n  __proto__: {polluted: 1}', detail: /not accepted/ },
    {
      why: 'constructor.prototype',
      text: '{"constructor":{"prototype":{"polluted":1}}}',
      detail: /not accepted/,
    },
    { why: 'a number without end', text: `${OPENAPI}paths: {}\nx-a: .inf`, detail: /finite/ },
    { why: 'a NUL', text: anOpenApi({}, { 'x-a': 'a\0b' }), detail: /NUL/ },
  ])('refuses $why, soon', async ({ text, detail }) => {
    const startedAt = performance.now();
    const [fault] = await faultsOf(text);
    expect(fault?.detail).toMatch(detail);
    expect(performance.now() - startedAt).toBeLessThan(10_000);
    expect(Object.hasOwn(Object.prototype, 'polluted')).toBe(false);
  });
});

describe('readApiDocument, with references', { timeout: 30_000 }, () => {
  it.each([
    'http://127.0.0.1:1/a.yaml#/x',
    '//127.0.0.1:1/a',
    'file:///etc/passwd',
    '/etc/passwd',
    '../a.yaml',
    'a.yaml#/A',
    '%68ttp://127.0.0.1:1/a',
    '%2Fetc%2Fpasswd',
    '#%2Fpaths',
    '#anchor',
    '#',
    '',
  ])('refuses "%s", which leaves the document', async ($ref) => {
    const paths = { '/a': { get: { responses: { 200: { $ref } } } } };
    expect(await faultsOf(anOpenApi(paths))).toEqual([
      {
        pointer: '/paths/~1a/get/responses/200/$ref',
        detail: expect.stringContaining('must point into this document'),
        line: 1,
      },
    ]);
  });

  it.each(['#/nothing', '#/info/toString', '#/paths/~1a/%', '#/__proto__'])(
    'refuses "%s", which ends nowhere',
    async ($ref) => {
      const [fault] = await faultsOf(anOpenApi({ '/a': { get: OK }, '/b': { $ref } }));
      expect(fault).toMatchObject({
        pointer: '/paths/~1b/$ref',
        detail: expect.stringContaining('not in this document'),
      });
    },
  );

  it('never opens a connection', async () => {
    let calls = 0;
    const server = createServer((_, response) => {
      calls++;
      response.end('{}');
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    try {
      const address = server.address();
      assert(address && typeof address === 'object');
      const url = `http://127.0.0.1:${address.port}/schema`;
      const text = JSON.stringify({
        openapi: '3.1.0',
        jsonSchemaDialect: url,
        info: { title: 'A', version: '1' },
        servers: [{ url }],
        externalDocs: { url },
        components: { schemas: { A: { $schema: url, $id: url, type: 'object' } } },
        paths: { '/a': { get: OK } },
      });
      expect((await readApiDocument(text)).methods).toHaveLength(1);
      await faultsOf(anOpenApi({ '/a': { $ref: url } }));
      expect(calls).toBe(0);
    } finally {
      server.close();
    }
  });
});
