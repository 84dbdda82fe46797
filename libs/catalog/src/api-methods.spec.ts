import { describe, expect, it } from 'vitest';
import { extractMethods, METHODS_MAX } from './api-methods.js';
import { InvalidApiDocument } from './errors.js';
import type { Json, JsonObject } from './json-pointer.js';

const aDocument = (paths: JsonObject, more: JsonObject = {}): JsonObject => ({
  openapi: '3.0.3',
  info: { title: 'A', version: '1' },
  paths,
  ...more,
});

function faultsOf(document: JsonObject): unknown {
  try {
    extractMethods(document);
  } catch (error) {
    if (error instanceof InvalidApiDocument) return error.facts.errors;
    throw error;
  }
  return [];
}

describe('extractMethods', () => {
  it('lists the methods in the order of the document, x-fields aside', () => {
    const { methods } = extractMethods(
      aDocument({
        'x-note': {},
        '/b': { post: { operationId: 'addB' }, get: {}, parameters: [] },
        '/a/': { 'x-amazon-apigateway-any-method': { summary: 'All of A' } },
        '/': { head: {} },
      }),
    );
    expect(methods).toEqual([
      { method: 'GET', resourcePath: '/b', apiKeyRequired: false },
      { method: 'POST', resourcePath: '/b', operationId: 'addB', apiKeyRequired: false },
      { method: 'ANY', resourcePath: '/a', summary: 'All of A', apiKeyRequired: false },
      { method: 'HEAD', resourcePath: '/', apiKeyRequired: false },
    ]);
  });

  it('follows a path item to where it is', () => {
    const pathItems = { A: { $ref: '#/components/pathItems/B' }, B: { get: { operationId: 'b' } } };
    const { methods } = extractMethods(
      aDocument(
        { '/a': { $ref: '#/components/pathItems/A', put: {} }, '/c': { $ref: '#/paths/~1a' } },
        { components: { pathItems } },
      ),
    );
    expect(methods.map(({ method, resourcePath }) => `${method} ${resourcePath}`)).toEqual([
      'GET /a',
      'PUT /a',
      'GET /c',
      'PUT /c',
    ]);
  });

  it.each<{ why: string; paths: JsonObject; pointer: string; detail: RegExp }>([
    {
      why: 'a circle of references',
      paths: { '/a': { $ref: '#/paths/~1b' }, '/b': { $ref: '#/paths/~1a' } },
      pointer: '/paths/~1a/$ref',
      detail: /must lead to a path item/,
    },
    {
      why: 'a reference to a text',
      paths: { '/a': { $ref: '#/info/title' } },
      pointer: '/paths/~1a/$ref',
      detail: /must lead to a path item/,
    },
    {
      why: 'two names for one parameter',
      paths: { '/p/{a}/x': {}, '/p/{b}/x': {} },
      pointer: '/paths/~1p~1{b}~1x',
      detail: /same requests as "\/p\/\{a\}\/x"/,
    },
    {
      why: 'a trailing slash as the only difference',
      paths: { '/p': {}, '/p/': {} },
      pointer: '/paths/~1p~1',
      detail: /same requests as "\/p"/,
    },
    {
      why: 'TRACE',
      paths: { '/p': { trace: {} } },
      pointer: '/paths/~1p/trace',
      detail: /TRACE/,
    },
    {
      why: 'more methods than an api can have',
      paths: Object.fromEntries(
        Array.from({ length: METHODS_MAX + 1 }, (_, n) => [`/p${n}`, { get: {} }]),
      ),
      pointer: '/paths',
      detail: /1001 methods; an api has at most 1000/,
    },
  ])('refuses $why with its place', ({ paths, pointer, detail }) => {
    expect(faultsOf(aDocument(paths))).toContainEqual({
      pointer,
      detail: expect.stringMatching(detail),
    });
  });

  const schemes = {
    key: { type: 'apiKey', in: 'header', name: 'X-Api-Key' },
    query: { type: 'apiKey', in: 'query', name: 'key' },
    bearer: { type: 'apiKey', in: 'header', name: 'Authorization' },
    session: { type: 'apiKey', in: 'cookie', name: 'session' },
    lambda: { type: 'apiKey', in: 'header', name: 'x', 'x-amazon-apigateway-authtype': 'custom' },
    oauth: { type: 'oauth2' },
    alias: { $ref: '#/components/securitySchemes/key' },
  };
  it.each<{ all?: Json; own?: Json; required: boolean; why: string }>([
    { required: false, why: 'nothing is asked for' },
    { all: [{ key: [] }], required: true, why: 'the document asks for a key' },
    { all: [{ key: [] }], own: [], required: false, why: 'the operation asks for nothing' },
    { all: [], own: [{ query: [] }], required: true, why: 'the operation asks for a key' },
    { own: [{ alias: [] }], required: true, why: 'the scheme is a reference' },
    { own: [{ key: [], oauth: [] }], required: true, why: 'a key and a token are needed' },
    { own: [{ oauth: [] }, { key: [] }], required: true, why: 'Amazon reads the list as one' },
    { own: [{ key: [] }, {}], required: false, why: 'anonymous calls may pass' },
    { own: [{ oauth: [] }], required: false, why: 'a token is no key' },
    { own: [{ bearer: [] }], required: false, why: 'Authorization carries no key of ours' },
    { own: [{ session: [] }], required: false, why: 'neither does a cookie' },
    { own: [{ lambda: [] }], required: false, why: 'an authorizer is no key' },
    { own: [{ toString: [] }], required: false, why: 'the scheme does not exist' },
  ])('apiKeyRequired is $required when $why', ({ all, own, required }) => {
    const operation: JsonObject = own === undefined ? {} : { security: own };
    const more: JsonObject = all === undefined ? {} : { security: all };
    const { methods } = extractMethods(
      aDocument(
        { '/a': { get: operation } },
        { ...more, components: { securitySchemes: schemes } },
      ),
    );
    expect(methods[0]?.apiKeyRequired).toBe(required);
  });

  it.each<{ more: JsonObject; basePath: string }>([
    { more: {}, basePath: '' },
    { more: { basePath: '/' }, basePath: '' },
    { more: { basePath: '/v2/' }, basePath: '/v2' },
    { more: { servers: [{ url: 'https://pets.example/v1' }] }, basePath: '/v1' },
    { more: { servers: [{ url: '//pets.example' }] }, basePath: '' },
    { more: { servers: [{ url: '/v1?a=b' }] }, basePath: '/v1' },
    {
      more: {
        servers: [{ url: 'https://{host}/{base}', variables: { base: { default: 'v3' } } }],
      },
      basePath: '/v3',
    },
  ])('finds the base path "$basePath"', ({ more, basePath }) => {
    expect(extractMethods(aDocument({}, more)).basePath).toBe(basePath);
  });

  it('takes the title, the version and what kind of api it is', () => {
    const info = { title: 'Pets', version: '7', description: 'All of them' };
    expect(extractMethods(aDocument({}, { info }))).toMatchObject({
      ...info,
      protocolHint: 'REST',
    });
    const exported = aDocument({}, { 'x-amazon-apigateway-importexport-version': '1.0' });
    expect(extractMethods(exported)).toMatchObject({ protocolHint: 'HTTP', description: null });
  });
});
