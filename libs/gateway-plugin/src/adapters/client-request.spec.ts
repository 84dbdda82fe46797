import { IncomingMessage } from 'node:http';
import { Socket } from 'node:net';
import { describe, expect, it } from 'vitest';
import { clientAddressReader, headerValues, pathOf, replaceIdentity } from './client-request.js';

function aRequest(rawHeaders: string[], remoteAddress = '10.0.0.9'): IncomingMessage {
  const socket = new Socket();
  Object.defineProperty(socket, 'remoteAddress', { value: remoteAddress });
  const request = new IncomingMessage(socket);
  request.rawHeaders.push(...rawHeaders);
  for (let index = 0; index < rawHeaders.length; index += 2) {
    request.headers[rawHeaders[index]!.toLowerCase()] = rawHeaders[index + 1]!;
  }
  return request;
}

describe('pathOf', () => {
  it.each([
    { target: '/pets/42?key=secret', path: '/pets/42', why: 'a query may hold secrets' },
    { target: '/pets#top', path: '/pets', why: 'a fragment is no path' },
    { target: '/a%3Fb/../c', path: '/a%3Fb/../c', why: 'the service canonicalises, nobody else' },
    {
      target: 'http://h/pets',
      path: 'http://h/pets',
      why: 'absolute form is refused, not guessed',
    },
  ])('takes $path from $target: $why', ({ target, path }) => {
    expect(pathOf(target)).toBe(path);
  });
});

describe('clientAddressReader', () => {
  const proxy = { header: 'X-Forwarded-For', from: ['10.0.0.0/8', 'fd00::1'] };
  it.each([
    {
      trust: undefined,
      from: '10.0.0.9',
      header: '1.1.1.1',
      ip: '10.0.0.9',
      why: 'nobody is trusted',
    },
    {
      trust: proxy,
      from: '9.9.9.9',
      header: '1.1.1.1',
      ip: '9.9.9.9',
      why: 'the sender is no proxy',
    },
    {
      trust: proxy,
      from: '10.0.0.9',
      header: '6.6.6.6, 1.1.1.1',
      ip: '1.1.1.1',
      why: 'counted from the right',
    },
    {
      trust: proxy,
      from: '10.0.0.9',
      header: '1.1.1.1, 10.2.2.2',
      ip: '1.1.1.1',
      why: 'proxies are passed over',
    },
    {
      trust: proxy,
      from: '10.0.0.9',
      header: 'unknown',
      ip: '10.0.0.9',
      why: 'no address, no belief',
    },
    { trust: proxy, from: '10.0.0.9', header: '', ip: '10.0.0.9', why: 'the proxy said nothing' },
    {
      trust: proxy,
      from: 'fd00::1',
      header: '2001:db8::7',
      ip: '2001:db8::7',
      why: 'IPv6 is an address too',
    },
    {
      trust: undefined,
      from: '::ffff:10.0.0.9',
      header: '',
      ip: '10.0.0.9',
      why: 'IPv4 over an IPv6 socket',
    },
  ])('says $ip for $header from $from: $why', ({ trust, from, header, ip }) => {
    expect(clientAddressReader(trust)(aRequest(['X-Forwarded-For', header], from))).toBe(ip);
  });

  it.each(['true', '1', 'localhost', '10.0.0.0/8/8', '10.0.0.0/x'])(
    'refuses to trust %s',
    (block) => {
      expect(() => clientAddressReader({ header: 'x-real-ip', from: [block] })).toThrow(
        'is no CIDR block',
      );
    },
  );
});

describe('headerValues', () => {
  it('shows a repeated header as repeated', () => {
    const request = aRequest(['X-Api-Key', 'a', 'x-api-key', 'b']);
    expect(headerValues(request, 'x-api-key')).toEqual(['a', 'b']);
  });
});

describe('replaceIdentity', () => {
  it('leaves the application no identity but the decision’s', () => {
    const request = aRequest([
      'X-Tollgate-Customer-Id',
      'spoof',
      'X_Tollgate_Key_Id',
      'spoof',
      'x-tollgate-role',
      'owner',
      'Accept',
      '*/*',
    ]);
    replaceIdentity(request, { 'X-Tollgate-Customer-Id': '', 'X-Tollgate-Key-Id': 'key1' });
    const expected = { accept: '*/*', 'x-tollgate-customer-id': '', 'x-tollgate-key-id': 'key1' };
    expect(request.headers).toEqual(expected);
    expect(JSON.stringify([request.rawHeaders, request.headersDistinct])).not.toContain('spoof');
    expect(request.rawHeaders).toContain('X-Tollgate-Key-Id');
  });

  it('shows every value of a header in `headersDistinct`, whenever that is read, and lets it be set', () => {
    const request = aRequest(['Accept', 'a', 'ACCEPT', 'b', 'X_Tollgate_Role', 'owner']);
    replaceIdentity(request, { 'X-Tollgate-Key-Id': 'key1' });
    const expected = { accept: ['a', 'b'], 'x-tollgate-key-id': ['key1'] };
    expect({ ...request.headersDistinct }).toEqual(expected);
    expect(request.headersDistinct).toBe(request.headersDistinct);
    request.headersDistinct = { accept: ['c'] };
    expect(request.headersDistinct).toEqual({ accept: ['c'] });
  });
});
