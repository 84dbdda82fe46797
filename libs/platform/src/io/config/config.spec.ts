import { describe, expect, it } from 'vitest';
import { Config, InvalidSettings } from './config.js';

const VALID = {
  DATABASE_URL: 'postgresql://localhost/tollgate',
  TOLLGATE_SECRET: 'correct horse battery staple 0123456789',
};
const faultsOf = (environment: Record<string, string>): readonly string[] => {
  try {
    void new Config(environment);
    return [];
  } catch (error) {
    if (error instanceof InvalidSettings) return error.faults;
    throw error;
  }
};

describe('Config', () => {
  it('has safe defaults', () => {
    expect(new Config(VALID)).toMatchObject({
      port: 3000,
      host: '127.0.0.1',
      redisUrl: null,
      demo: false,
    });
  });

  it('reports every fault at once', () => {
    const faults = faultsOf({
      PORT: '80a',
      DATABASE_URL: 'mysql://x',
      REDIS_URL: 'x',
      TOLLGATE_DEMO: 'yes',
    });
    expect(faults.map((fault) => fault.split(' ')[0])).toEqual([
      'PORT',
      'DATABASE_URL',
      'REDIS_URL',
      'TOLLGATE_SECRET',
      'TOLLGATE_DEMO',
    ]);
  });

  it.each([
    { setting: { TOLLGATE_SECRET: 'short' }, why: 'a short secret' },
    { setting: { TOLLGATE_SECRET: 'a'.repeat(64) }, why: 'a secret of one letter' },
    {
      setting: { TOLLGATE_SECRET: `k1:${Buffer.alloc(32).toString('base64')}` },
      why: 'a key of zeros',
    },
    { setting: { TOLLGATE_SECRETT: 'x' }, why: 'a name that nobody reads' },
    { setting: { TOLLGATE_ACCESS_KEY_ID: 'AKIAABCDEFGHIJKLMNOP' }, why: 'half an access key' },
  ])('refuses $why', ({ setting }) => {
    expect(faultsOf({ ...VALID, ...setting })).toHaveLength(1);
  });
});
