import { readFileSync } from 'node:fs';
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
      redis: null,
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
    {
      setting: { TOLLGATE_USAGE_DAYS: '399' },
      why: 'records dropped while others of their time may come',
    },
    {
      setting: { TOLLGATE_DECISION_DAYS: '399' },
      why: 'counts dropped while others of their time may come',
    },
    { setting: { TOLLGATE_SECRETT: 'x' }, why: 'a name that nobody reads' },
    { setting: { TRUSTED_PROXIES: '1' }, why: 'a number of proxies' },
    { setting: { TRUSTED_PROXIES: 'true' }, why: 'trust in everybody' },
    { setting: { TRUSTED_PROXIES: '0.0.0.0/0' }, why: 'trust in everybody, as a block' },
    { setting: { TRUSTED_PROXIES: '::/0' }, why: 'trust in everybody, as a block of IPv6' },
    { setting: { TRUSTED_PROXIES: 'loopback' }, why: 'a name of a block' },
    {
      setting: { TRUSTED_PROXIES: '10.0.0.0/8,10.0.0.1/8' },
      why: 'a block with bits behind its prefix',
    },
    { setting: { TOLLGATE_ACCESS_KEY_ID: 'AKIAABCDEFGHIJKLMNOP' }, why: 'half an access key' },
  ])('refuses $why', ({ setting }) => {
    expect(faultsOf({ ...VALID, ...setting })).toHaveLength(1);
  });
});

describe('.env.example', () => {
  const text = readFileSync(new URL('../../../../../.env.example', import.meta.url), 'utf8');
  const lines = text.split('\n');
  const names = [...text.matchAll(/^#?([A-Z][A-Z_]*)=/gm)].map(([, name = '']) => name);

  it('lists every setting, and no other', () => {
    const read = new Set<string>();
    const environment = new Proxy<Record<string, string>>(VALID, {
      get: (target, name) => {
        if (!String(name).endsWith('_FILE')) read.add(String(name));
        return Reflect.get(target, name) as unknown;
      },
    });
    void new Config(environment);
    expect(names.toSorted()).toEqual([...read].toSorted());
  });

  it('lists nothing that would be refused as unknown', () => {
    const environment = Object.fromEntries(names.map((name) => [name, '']));
    expect(faultsOf({ ...environment, ...VALID })).toEqual([]);
  });

  it('says of each what it is for', () => {
    const bare = lines.filter(
      (line, index) =>
        /^#?[A-Z][A-Z_]*=/.test(line) &&
        !/^# |^#TOLLGATE_ACCESS_KEY_ID=/.test(lines[index - 1] ?? ''),
    );
    expect(bare).toEqual([]);
  });
});
