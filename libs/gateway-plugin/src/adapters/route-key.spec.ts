import { describe, expect, it } from 'vitest';
import { routeSelector } from './route-key.js';

describe('routeSelector', () => {
  it.each([
    { text: '{"action":"send"}', is: 'send', why: 'the member is named' },
    { text: '{"action":7}', is: '$default', why: 'a key is text' },
    { text: '{"other":"send"}', is: '$default', why: 'the member is missing' },
    { text: 'send', is: '$default', why: 'it is no JSON' },
    { text: 'null', is: '$default', why: 'null has no members' },
    { text: '{"action":"$connect"}', is: '$default', why: 'that route is not for clients to name' },
    { text: '{"action":"a b"}', is: '$default', why: 'no route has such a key' },
    { text: '{"__proto__":{"action":"send"}}', is: '$default', why: 'inherited is not said' },
  ])('finds $is in $text: $why', ({ text, is }) => {
    expect(routeSelector('$request.body.action')(text)).toBe(is);
  });

  it('follows a path, also in braces', () => {
    expect(routeSelector('${request.body.head.kind}')('{"head":{"kind":"join"}}')).toBe('join');
  });

  it('refuses an expression that it cannot read', () => {
    expect(() => routeSelector('$request.header.x')).toThrow(TypeError);
  });
});
