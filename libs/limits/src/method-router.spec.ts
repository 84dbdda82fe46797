import { describe, expect, it } from 'vitest';
import { MethodRouter } from './index.js';

const aRouter = (methods: string[], trailingSlash: 'ignore' | 'strict' = 'ignore') =>
  new MethodRouter(
    methods.map((id) => {
      const [method = '', resourcePath = ''] = id.split(' ');
      return { method, resourcePath, id };
    }),
    { trailingSlash },
  );

const API = [
  'GET /',
  'GET /pets',
  'POST /pets',
  'GET /pets/{petId}',
  'DELETE /pets/{id}',
  'GET /pets/mine',
  'ANY /pets/mine',
  'GET /pets/{petId}/toys',
  'GET /pets/mine/food',
  'ANY /files/{proxy+}',
  'GET /files/readme',
  'GET /files/{name}/meta',
];

describe('MethodRouter', () => {
  it.each<[verb: string, path: string, id: string | null, why: string]>([
    ['GET', '/', 'GET /', 'the root'],
    ['POST', '/', null, 'no such verb at the root'],
    ['GET', '/pets', 'GET /pets', 'a literal'],
    ['GET', '/Pets', null, 'case matters'],
    ['get', '/pets', null, 'in the verb too'],
    ['HEAD', '/pets', null, 'HEAD is not GET'],
    ['GET', '/pets/', 'GET /pets', 'a trailing slash is ignored'],
    ['GET', '/pets/42', 'GET /pets/{petId}', 'a parameter'],
    ['DELETE', '/pets/42', 'DELETE /pets/{id}', 'each method keeps its own template'],
    ['GET', '/pets/%2F', 'GET /pets/{petId}', 'captures stay opaque'],
    ['GET', '/pets/mine', 'GET /pets/mine', 'a literal beats a parameter, the verb beats ANY'],
    ['PUT', '/pets/mine', 'ANY /pets/mine', 'ANY takes the other verbs'],
    ['DELETE', '/pets/mine', 'ANY /pets/mine', 'the better resource beats the better verb'],
    ['GET', '/pets/mine/toys', 'GET /pets/{petId}/toys', 'a literal that leads nowhere is left'],
    ['GET', '/pets/mine/food', 'GET /pets/mine/food', 'one that leads on is not'],
    ['GET', '/pets/42/food', null, 'a parameter is not the literal'],
    ['GET', '/pets/42/toys/1', null, 'too deep'],
    ['GET', '/files', null, 'greedy takes at least one segment'],
    ['GET', '/files/', null, 'and not an empty one'],
    ['GET', '/files/a', 'ANY /files/{proxy+}', 'greedy takes one'],
    ['PUT', '/files/a/b/c', 'ANY /files/{proxy+}', 'or many'],
    ['GET', '/files/readme', 'GET /files/readme', 'a literal beats greedy'],
    [
      'PUT',
      '/files/readme',
      'ANY /files/{proxy+}',
      'greedy catches the verb that the literal lacks',
    ],
    ['GET', '/files/a/meta', 'GET /files/{name}/meta', 'a parameter beats greedy'],
    ['GET', '/constructor', null, 'names of objects are no routes'],
    ['__proto__', '/pets', null, 'nor are they verbs'],
    ['ANY', '/pets', null, 'a client cannot ask for ANY'],
  ])('%s %s is %s: %s', (verb, path, id) => {
    expect(aRouter(API).match(verb, path)?.id ?? null).toBe(id);
  });

  it.each([
    ['/pets', 'GET /pets'],
    ['/pets/', null],
    ['/toys/', 'GET /toys/'],
    ['/toys', null],
    ['/', 'GET /'],
    ['/any/', null],
  ])('tells a trailing slash apart when strict: %s is %s', (path, id) => {
    const router = aRouter(
      ['GET /', 'GET /pets', 'GET /toys/', 'GET /any/{id}', 'GET /any/{all+}'],
      'strict',
    );
    expect(router.match('GET', path)?.id ?? null).toBe(id);
  });

  it('knows nothing of an api without methods', () => {
    expect(aRouter([]).match('GET', '/')).toBe(null);
  });

  it('takes the first of two methods of one shape', () => {
    expect(aRouter(['GET /a/{x}', 'GET /a/{y}']).match('GET', '/a/1')?.id).toBe('GET /a/{x}');
  });

  it('visits no node twice: a hostile path does not make it search', () => {
    const deep = Array.from({ length: 20 }, (_, i) => `GET ${'/a/{p}'.repeat(i)}/{p}/a/end`);
    const router = aRouter(deep);
    for (let i = 0; i < 1_000; i++) expect(router.match('GET', '/a'.repeat(2_000))).toBe(null);
  });
});
