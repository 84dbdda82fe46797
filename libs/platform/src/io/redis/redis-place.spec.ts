import { describe, expect, it } from 'vitest';
import { clusterNode, parseRedisPlace } from './redis-place.js';

describe('REDIS_URL', () => {
  it.each([
    {
      text: 'redis://:p%40ss@10.0.0.1:6380/2',
      place: { kind: 'alone', url: 'redis://:p%40ss@10.0.0.1:6380/2' },
      why: 'one server',
    },
    {
      text: 'rediss://a:7000, rediss://b:7000',
      place: { kind: 'cluster', urls: ['rediss://a:7000', 'rediss://b:7000'] },
      why: 'nodes of a Cluster',
    },
    {
      text: 'redis-sentinel://tollgate:p%40ss@10.0.0.1:26380/mymaster,redis-sentinel://[::1]',
      place: {
        kind: 'sentinel',
        sentinels: [
          { host: '10.0.0.1', port: 26_380 },
          { host: '::1', port: 26_379 },
        ],
        primary: 'mymaster',
        username: 'tollgate',
        password: 'p@ss',
        isTls: false,
      },
      why: 'Sentinels, of which the first URL names the primary',
    },
  ])('may name $why', ({ text, place }) => {
    expect(parseRedisPlace(text)).toEqual(place);
  });

  it.each([
    { text: '10.0.0.1:6379', why: 'no URL' },
    { text: 'http://10.0.0.1', why: 'another protocol' },
    { text: 'redis://a,rediss://b', why: 'half a Cluster with TLS' },
    { text: 'redis://a,', why: 'a comma too many' },
    { text: 'redis-sentinel://a:26379', why: 'Sentinels without the name of a primary' },
    { text: 'redis://', why: 'no host' },
  ])('may not be $text: $why', ({ text }) => {
    expect(parseRedisPlace(text)).toEqual(expect.any(String));
  });

  it('gives the nodes of a Cluster their own credentials', () => {
    expect(clusterNode('redis://u:p@10.0.0.1')).toEqual({
      host: '10.0.0.1',
      port: 6_379,
      username: 'u',
      password: 'p',
    });
  });
});
