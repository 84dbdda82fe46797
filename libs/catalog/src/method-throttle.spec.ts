import { describe, expect, it } from 'vitest';
import { methodThrottleMap, parseMethodKey, parseMethodThrottles } from './method-throttle.js';

const throttle = { rateLimit: 5, burstLimit: 10 };

describe('parseMethodKey', () => {
  it.each([
    { key: '/pets/{petId}/GET', resourcePath: '/pets/{petId}', why: 'the verb comes last' },
    { key: '//GET', resourcePath: '/', why: "the root's, in Amazon's form" },
    { key: '/GET', resourcePath: '/', why: "the root's, as people write it" },
    { key: '/caf\u00e9/GET', resourcePath: '/caf%C3%A9', why: 'paths are kept in canonical form' },
  ])('reads $key: $why', ({ key, resourcePath }) => {
    expect(parseMethodKey(key)).toEqual({ httpMethod: 'GET', resourcePath });
  });

  it.each([
    { key: 'GET', why: 'it has no path' },
    { key: '', why: 'it is empty' },
    { key: '/pets', why: 'it has no verb' },
    { key: '/pets/get', why: 'verbs are written in capitals' },
    { key: '/pets/TRACE', why: 'the verb is not offered' },
    { key: 'pets/GET', why: 'the path starts with no slash' },
    { key: '/a//b/GET', why: 'a segment is empty' },
    { key: '/a/../b/GET', why: 'dot segments are refused' },
  ])('refuses "$key": $why', ({ key }) => {
    expect(parseMethodKey(key)).toHaveProperty('fault');
  });
});

describe('parseMethodThrottles', () => {
  it('gives the map back in one order, whatever order it came in', () => {
    const { throttles, faults } = parseMethodThrottles(
      { '/pets/POST': throttle, '/GET': throttle, '/pets/GET': throttle },
      '',
    );
    expect(faults).toEqual([]);
    expect(Object.keys(methodThrottleMap(throttles))).toEqual(['//GET', '/pets/GET', '/pets/POST']);
  });

  it.each([
    { map: { '/a/GET': 5 }, pointer: '/t/~1a~1GET', why: 'a throttle is an object' },
    { map: { '/a/GET': null }, pointer: '/t/~1a~1GET', why: 'and null is none' },
    { map: { '/a/GET': [] }, pointer: '/t/~1a~1GET', why: 'nor is a list' },
    { map: { '/a/GET': {} }, pointer: '/t/~1a~1GET/rateLimit', why: 'both numbers are asked for' },
    {
      map: { '/a/GET': { rateLimit: 1 } },
      pointer: '/t/~1a~1GET/burstLimit',
      why: 'the burst as well',
    },
    {
      map: { '/a/GET': { ...throttle, rate: 1 } },
      pointer: '/t/~1a~1GET/rate',
      why: 'unknown fields are refused',
    },
    {
      map: { '/a/GET': { rateLimit: -1, burstLimit: 1 } },
      pointer: '/t/~1a~1GET/rateLimit',
      why: 'a rate is not negative',
    },
    {
      map: { '/a/GET': { rateLimit: 1, burstLimit: 1.5 } },
      pointer: '/t/~1a~1GET/burstLimit',
      why: 'a burst is whole',
    },
    {
      map: { '//GET': throttle, '/GET': throttle },
      pointer: '/t/~1GET',
      why: 'both are the root',
    },
  ])('names $pointer: $why', ({ map, pointer }) => {
    expect(parseMethodThrottles(map, '/t').faults).toEqual([
      { pointer, detail: expect.any(String) as string },
    ]);
  });
});
