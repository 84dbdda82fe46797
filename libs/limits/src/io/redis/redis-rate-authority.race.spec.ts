import fc from 'fast-check';
import type { Cluster, Redis } from 'ioredis';
import {
  Buckets,
  MemoryRateAuthority,
  type RateBucket,
  type RateGrant,
  type RateReturn,
  type RateWish,
} from '@core/limits';
import { connected, connectRedis, parseRedisPlace } from '@io/platform';
import { beforeAll, beforeEach, expect, it } from 'vitest';
import { afterFile } from '../../../../../test/support/after-file.js';
import { RedisCluster, RedisServer } from '../../../../../test/support/redis.js';
import { describeWith } from '../../../../../test/support/services.js';
import { leaseRates } from './lease-rates.lua.js';
import { DEADLINE_MS, RedisRateAuthority, type RedisRateOptions } from './redis-rate-authority.js';

/** More by hand: `RATE_RUNS=20000 npx vitest run --project db libs/limits/src/io/redis`. */
const RUNS = Number(process.env['RATE_RUNS'] ?? 1_000);
const A_YEAR_MS = 365 * 24 * 3_600_000;

async function aClient(url: string): Promise<Redis | Cluster> {
  const place = parseRedisPlace(url);
  if (typeof place === 'string') throw new Error(place);
  const client = connectRedis(place, { enableOfflineQueue: false });
  client.on('error', () => undefined);
  afterFile(() => client.disconnect());
  await connected(client, 5_000);
  return client;
}

/** The machine may have other work to do: only the tests of the deadline have one that matters. */
const PATIENT = { deadlineMs: 10_000 };

const anAuthority = async (url: string, options: RedisRateOptions = PATIENT) =>
  new RedisRateAuthority(await aClient(url), () => performance.now(), options);

const aBucket = (bucket: Partial<RateBucket> = {}): RateBucket => ({
  name: 'plan p1/k1',
  home: 'k1',
  rateLimit: 0.001,
  burstLimit: 1_000,
  ...bucket,
});

const one = (bucket: RateBucket): RateWish => ({ bucket, asked: 1, least: 1, wanted: 0 });

const granted = (grants: readonly (RateGrant | null)[]) =>
  grants.reduce((sum, grant) => sum + (grant?.granted ?? 0), 0);

const countsOf = (grant: RateGrant | null) => ({ ...grant, retryAfterMs: 0, resetMs: 0 });

describeWith('redis-server', 'rates in Redis', () => {
  let redis: RedisServer;
  let authority: RedisRateAuthority;

  beforeAll(async () => {
    redis = await RedisServer.start();
    afterFile(() => redis.stop());
    authority = await anAuthority(redis.url);
  });
  beforeEach(async () => {
    await redis.client.flushall();
  });

  it('are lent exactly as the memory of one process lends them', async () => {
    const script = leaseRates({
      now: `local now = tonumber(redis.call('GET', 'clock'))`,
      spareMs: A_YEAR_MS,
    });
    const inRedis = new RedisRateAuthority(await aClient(redis.url), () => 0, {
      ...PATIENT,
      script,
    });
    const limit = fc.record({
      rateLimit: fc.oneof(
        fc.constantFrom(0, 1, 5, 1_000),
        fc.integer({ min: 1, max: 99_999 }).map((n) => n / 1_000),
      ),
      burstLimit: fc.oneof(fc.constantFrom(0, 1), fc.integer({ min: 1, max: 5_000 })),
    });
    const whole = fc.oneof(fc.integer({ min: 1, max: 5 }), fc.integer({ min: 1, max: 2_000 }));
    const bucket = fc.integer({ min: 0, max: 4 });
    const step = fc.record({
      afterMs: fc.oneof(fc.constant(0), fc.double({ min: 0, max: 30_000, noNaN: true })),
      limits: fc.array(fc.tuple(bucket, limit), { maxLength: 1 }),
      returns: fc.array(
        fc.record({ bucket, units: whole, heldMs: fc.double({ min: 0, max: 1_100, noNaN: true }) }),
        { maxLength: 2 },
      ),
      wishes: fc.array(
        fc.record({ bucket, least: whole, more: fc.nat(100), wanted: fc.nat(3_000) }),
        { minLength: 1, maxLength: 6 },
      ),
    });

    await fc.assert(
      fc.asyncProperty(
        fc.array(limit, { minLength: 5, maxLength: 5 }),
        fc.array(step, { minLength: 1, maxLength: 12 }),
        fc.double({ min: 0, max: 4e12, noNaN: true }),
        async (limits, steps, start) => {
          await redis.client.flushall();
          let now = start;
          const inMemory = new MemoryRateAuthority(new Buckets(), () => now);
          const current = [...limits];
          const bucketOf = (n: number): RateBucket => ({
            name: `bucket ${n}`,
            home: `home ${n % 3}`,
            ...(current[n] ?? { rateLimit: 1, burstLimit: 1 }),
          });
          for (const { afterMs, limits: changes, returns, wishes } of steps) {
            now += afterMs;
            // All seventeen digits, as Redis' own clock has at most sixteen.
            await redis.client.set('clock', String(now));
            for (const [n, changed] of changes) current[n] = changed;
            const back: RateReturn[] = returns.map(({ bucket: n, units, heldMs }) => ({
              bucket: bucketOf(n),
              units,
              heldMs,
            }));
            const wanted: RateWish[] = wishes.map(({ bucket: n, least, more, wanted: ahead }) => ({
              bucket: bucketOf(n),
              asked: least + more,
              least,
              wanted: ahead,
            }));
            await Promise.all([inRedis.giveBack(back), inMemory.giveBack(back)]);
            const [here, there] = await Promise.all([
              inMemory.lease(wanted),
              inRedis.lease(wanted),
            ]);
            expect(there.map(countsOf)).toEqual(here.map(countsOf));
            for (const [index, grant] of here.entries()) {
              expect(there[index]?.retryAfterMs).toBeCloseTo(grant?.retryAfterMs ?? NaN, 3);
              expect(there[index]?.resetMs).toBeCloseTo(grant?.resetMs ?? NaN, 3);
            }
          }
        },
      ),
      { numRuns: RUNS },
    );
  });

  it('are never lent twice: eight processes get a burst between them, and no more', async () => {
    const authorities = await Promise.all(Array.from({ length: 8 }, () => anAuthority(redis.url)));
    const bucket = aBucket();
    const sums = await Promise.all(
      authorities.map(async (racer, n) => {
        let sum = 0;
        for (let round = 0; round < 60; round += 1) {
          const wish = { bucket, asked: 1 + (round % 7), least: 1 + (round % 2), wanted: n * 10 };
          sum += granted(await racer.lease([wish]));
        }
        return sum;
      }),
    );
    expect(sums.reduce((sum, each) => sum + each, 0)).toBe(1_000);
  });

  it("refill by Redis' clock, whatever the processes' own clocks say", async () => {
    const client = await aClient(redis.url);
    const late = new RedisRateAuthority(client, () => performance.now() + A_YEAR_MS, PATIENT);
    const bucket = aBucket({ rateLimit: 0.1, burstLimit: 10 });
    expect(granted(await authority.lease([{ bucket, asked: 10, least: 10, wanted: 0 }]))).toBe(10);
    const [grant] = await late.lease([one(bucket)]);
    expect(grant).toMatchObject({ granted: 0, remaining: 0 });
    expect(grant?.retryAfterMs).toBeGreaterThan(9_000);
    expect(grant?.retryAfterMs).toBeLessThanOrEqual(10_000);
  });

  it('go on from where they were when the clock goes back: a failover to another machine frees and blocks nothing', async () => {
    const script = leaseRates({
      now: `local now = tonumber(redis.call('GET', 'clock'))`,
      spareMs: A_YEAR_MS,
    });
    const moved = new RedisRateAuthority(await aClient(redis.url), () => 0, {
      ...PATIENT,
      script,
    });
    const bucket = aBucket({ rateLimit: 10, burstLimit: 100 });
    const at = async (ms: number, asked: number) => {
      await redis.client.set('clock', ms);
      return granted(await moved.lease([{ bucket, asked, least: asked, wanted: 0 }]));
    };
    expect(await at(10_000_000, 100)).toBe(100);
    // In use for a minute, so that the origin of its state lies far back.
    for (let second = 1; second <= 60; second += 1) {
      expect(await at(10_000_000 + second * 1_000, 10)).toBe(10);
    }
    expect(await at(10_030_000, 1)).toBe(0);
    expect(await at(10_031_000, 11)).toBe(0);
    expect(await at(10_031_000, 10)).toBe(10);
    await redis.client.flushall();
    expect(await at(5_000_000, 40)).toBe(40);
    expect(await at(1_000_000, 60)).toBe(60);
    expect(await at(1_001_000, 11)).toBe(0);
    expect(await at(1_001_000, 10)).toBe(10);
  });

  it('of a key are one small hash, which is gone when all of them are full again', async () => {
    const name =
      'method p1/k1/a1b2c3d4e5/prod/GET /a/long/way/down/{to}/the/{resource}/of/this/api';
    const quick = { rateLimit: 100, burstLimit: 10 };
    const script = leaseRates({ spareMs: 0 });
    const sparing = await anAuthority(redis.url, { ...PATIENT, script });
    await sparing.lease([
      { bucket: aBucket({ name, ...quick }), asked: 5, least: 5, wanted: 0 },
      { bucket: aBucket(quick), asked: 10, least: 10, wanted: 0 },
    ]);
    expect(await redis.client.keys('*')).toEqual(['tg1:{k1}']);
    expect(await redis.client.object('ENCODING', 'tg1:{k1}')).toBe('listpack');
    expect(await redis.client.pttl('tg1:{k1}')).toBeLessThanOrEqual(101);
    const slow = aBucket({ home: 'k2', rateLimit: 1, burstLimit: 60 });
    await sparing.lease([{ bucket: slow, asked: 60, least: 60, wanted: 0 }]);
    const lifeMs = await redis.client.pttl('tg1:{k2}');
    expect([lifeMs > 50_000, lifeMs <= 60_001]).toEqual([true, true]);
    await expect.poll(() => redis.client.exists('tg1:{k1}')).toBe(0);
  });

  it('outlive being full by some seconds, so that a key in use costs no command more', async () => {
    const bucket = aBucket({ rateLimit: 1e6 });
    await authority.lease([one(bucket)]);
    expect(await redis.client.pttl('tg1:{k1}')).toBeGreaterThan(5_000);
    const before = await redis.calls('pexpire');
    for (let call = 0; call < 10; call += 1) await authority.lease([one(bucket)]);
    expect(await redis.calls('pexpire')).toBe(before);
  });

  it('are asked for in one command, however many buckets and homes', async () => {
    const buckets = Array.from({ length: 200 }, (_, n) =>
      aBucket({ name: `bucket ${n}`, home: `home ${n % 50}` }),
    );
    await authority.lease(buckets.slice(0, 1).map(one));
    const before = await redis.calls('evalsha');
    expect(granted(await authority.lease(buckets.map(one)))).toBe(200);
    expect((await redis.calls('evalsha')) - before).toBe(1);
  });

  it('are lent by a server that does not know the script', async () => {
    await redis.client.script('FLUSH');
    expect(granted(await authority.lease([one(aBucket())]))).toBe(1);
  });

  it('are not lent by a server that is full, and are again when it has room', async () => {
    await redis.client.config('SET', 'maxmemory', '1');
    await expect(authority.lease([one(aBucket())])).rejects.toThrow(/OOM/);
    await redis.client.config('SET', 'maxmemory', '0');
    expect(granted(await authority.lease([one(aBucket())]))).toBe(1);
    expect(authority.stats()).toMatchObject({ isUp: true, failures: 1 });
  });

  it('are not lent by a replica', async () => {
    await redis.client.replicaof('127.0.0.1', 1);
    await expect(authority.lease([one(aBucket())])).rejects.toThrow(/READONLY/);
    await redis.client.replicaof('NO', 'ONE');
    expect(granted(await authority.lease([one(aBucket())]))).toBe(1);
  });

  it('are waited for until the deadline, then refused at once, and lent again without a restart', async () => {
    const quick = await anAuthority(redis.url, {});
    const took = async () => {
      const start = performance.now();
      const answer = await quick.lease([one(aBucket())]).then(
        () => 'lent',
        () => 'refused',
      );
      return { answer, ms: performance.now() - start };
    };
    redis.pause();
    try {
      for (let failure = 0; failure < 5; failure += 1) {
        const { answer, ms } = await took();
        expect(answer).toBe('refused');
        expect(ms).toBeGreaterThan(DEADLINE_MS - 5);
      }
      const { notAsked } = quick.stats();
      const later = await Promise.all(Array.from({ length: 100 }, took));
      expect(later.every(({ answer }) => answer === 'refused')).toBe(true);
      expect(quick.stats()).toMatchObject({ isUp: false, notAsked: notAsked + 100 });
    } finally {
      redis.resume();
    }
    await expect.poll(async () => (await took()).answer, { timeout: 5_000 }).toBe('lent');
    expect(quick.stats().isUp).toBe(true);
  });
});

describeWith(['redis-server', 'redis-cli'], 'rates in a Redis Cluster', () => {
  let cluster: RedisCluster;
  let authority: RedisRateAuthority;

  beforeAll(async () => {
    cluster = await RedisCluster.start();
    afterFile(() => cluster.stop());
    authority = await anAuthority(cluster.url);
  });

  it('are never lent twice, and the buckets of a key are in one slot', async () => {
    const other = await anAuthority(cluster.url);
    const buckets = Array.from({ length: 60 }, (_, n) =>
      aBucket({ name: `bucket ${n}`, home: `home ${n % 20}`, burstLimit: 100 }),
    );
    const wishes = buckets.map((bucket) => ({ bucket, asked: 7, least: 1, wanted: 0 }));
    const sums = await Promise.all(
      [authority, other, authority, other].map(async (racer) => {
        let sum = 0;
        for (let round = 0; round < 8; round += 1) sum += granted(await racer.lease(wishes));
        return sum;
      }),
    );
    expect(sums.reduce((sum, each) => sum + each, 0)).toBe(60 * 100);
  });

  it('are lent by the nodes that are there while one is away, and by its replica after it', async () => {
    const [victim] = await cluster.primaries();
    const buckets = Array.from({ length: 60 }, (_, n) =>
      aBucket({ name: `bucket ${n}`, home: `other home ${n}` }),
    );
    const wishes = buckets.map(one);
    expect(granted(await authority.lease(wishes))).toBe(60);
    await victim?.kill();
    const grants = await authority.lease(wishes);
    const lost = grants.filter((grant) => grant === null).length;
    expect(lost).toBeGreaterThan(5);
    expect(granted(grants)).toBe(60 - lost);
    expect(authority.stats().isUp).toBe(false);
    await expect
      .poll(async () => granted(await authority.lease(wishes)), { timeout: 15_000 })
      .toBe(60);
  });
});
