import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { resourcePath } from './resource-path.js';

describe('resourcePath', () => {
  it.each([
    { template: '/', path: '/', shape: '/', why: 'the root stays' },
    { template: '/pets', path: '/pets', shape: '/pets', why: 'it is canonical already' },
    { template: '/pets/', path: '/pets', shape: '/pets', why: 'a trailing slash says nothing' },
    { template: '/p/{a}/{b}', path: '/p/{a}/{b}', shape: '/p/{}/{}', why: 'names do not match' },
    { template: '/{proxy+}', path: '/{proxy+}', shape: '/{+}', why: 'greedy is another shape' },
    { template: '/a%2Db%c3', path: '/a-b%C3', shape: '/a-b%C3', why: 'only unreserved decode' },
    {
      template: '/caf\u00e9 x',
      path: '/caf%C3%A9%20x',
      shape: '/caf%C3%A9%20x',
      why: 'URIs are ASCII',
    },
    { template: '/a:b;c=@', path: '/a:b;c=@', shape: '/a:b;c=@', why: 'these may stand in a path' },
  ])('$template becomes $path: $why', ({ template, path, shape }) => {
    expect(resourcePath(template)).toEqual({ path, shape });
  });

  it.each([
    'pets',
    '',
    '//pets',
    '/pets//x',
    '/./x',
    '/../x',
    '/%2e%2E/x',
    '/a?b',
    '/a#b',
    '/a%2fb',
    '/a%5Cb',
    '/a%00',
    '/a%25b',
    '/a%zz',
    '/a\\b',
    '/a\nb',
    '/\ud800',
    '/{id}.json',
    '/{}',
    '/{a}/{a}',
    '/{proxy+}/x',
    `/${'a'.repeat(1024)}`,
  ])('refuses %j', (template) => {
    expect(resourcePath(template)).toHaveProperty('fault');
  });

  it('is a fixed point', () => {
    const character = fc.oneof(
      fc.constantFrom('/', '{a}', '%', '%2d', '%c3', '.', '+', ' ', 'a'),
      fc.nat(0x10ffff).map((code) => String.fromCodePoint(code)),
    );
    fc.assert(
      fc.property(fc.array(character, { maxLength: 20 }), (characters) => {
        const once = resourcePath(`/${characters.join('')}`);
        expect('path' in once ? resourcePath(once.path) : once).toEqual(once);
      }),
    );
  });
});
