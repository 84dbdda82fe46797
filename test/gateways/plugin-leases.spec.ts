import { createTollgate, type Tollgate, type TollgateEvent } from '@core/gateway-plugin';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { StandInLeases, type LeasedKey } from '../support/stand-in-leases.js';
import { StandInService } from '../support/stand-in-service.js';

const WIDE = { rateLimit: 100_000, burstLimit: 100_000 };
const aKey = (settings: Partial<LeasedKey> = {}): LeasedKey => ({
  keyId: 'keyleased1',
  customerId: 'cus_a',
  enabled: true,
  throttle: WIDE,
  quota: null,
  ...settings,
});

const KEY = 'tg_leased';
const running: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const stop of running.splice(0).reverse()) await stop();
});

interface Started {
  readonly tollgate: Tollgate;
  readonly leases: StandInLeases;
  readonly service: StandInService;
  readonly events: TollgateEvent[];
  readonly decide: (path?: string) => ReturnType<Tollgate['decide']>;
}

async function started(key: LeasedKey): Promise<Started> {
  const leases = new StandInLeases({ [KEY]: key });
  const { keyId, customerId } = key;
  const service = await StandInService.start({
    leases,
    keys: { [KEY]: { keyId, customerId, plan: WIDE } },
  });
  const events: TollgateEvent[] = [];
  const tollgate = createTollgate({
    url: service.url,
    token: service.token,
    apiId: 'petstore01',
    stage: 'prod',
    onEvent: (event) => events.push(event),
  });
  running.push(
    () => service.stop(),
    () => tollgate.close(),
  );
  await vi.waitFor(() => expect(tollgate.stats().hasNews).toBe(true));
  const decide = (path = '/pets/42') =>
    tollgate.decide({ apiKey: KEY, method: 'GET', path, sourceIp: '127.0.0.1' });
  return { tollgate, leases, service, events, decide };
}

describe('a plugin with leases', () => {
  it('goes by the account’s clock from the very call after the answer that told it', async () => {
    const { tollgate, service, decide } = await started(aKey());
    const dayMs = 86_400_000;
    for (let day = 1; day <= 20; day += 1) {
      // The clock was read just now, and then an answer sets it.
      await decide();
      service.clockOffsetMs = day * dayMs;
      await tollgate.decide({ apiKey: `stranger_${day}`, method: 'GET', path: '/pets' });
      const at: unknown = Reflect.get(await decide(), 'at');
      expect(Math.round((Number(at) - Date.now()) / dayMs)).toBe(day);
    }
  });

  it('asks for a stranger, then decides by itself, at once and in few questions', async () => {
    const { tollgate, service, decide } = await started(aKey({ quota: 1_000_000 }));
    expect(await decide()).toMatchObject({ allowed: true, keyId: 'keyleased1' });
    expect(service.asked).toHaveLength(1);
    // The policy, and what limits its stage, came beside the decision.
    expect(tollgate.stats()).toMatchObject({ knownKeys: 1, leaseQuestions: 2 });
    let atOnce = 0;
    for (let call = 0; call < 2_000; call += 1) {
      const decision = decide();
      if (!(decision instanceof Promise)) atOnce += 1;
      expect(await decision).toMatchObject({
        allowed: true,
        resourcePath: '/pets/{petId}',
        usagePlanId: 'plan-deny',
      });
    }
    expect(service.asked).toHaveLength(1);
    expect(atOnce).toBeGreaterThan(1_900);
    expect(tollgate.stats().leaseQuestions).toBeLessThan(100);
  });

  it('admits no more than the quota, and gives back what it did not spend', async () => {
    const { tollgate, leases, decide } = await started(aKey({ quota: 500 }));
    await decide();
    const decisions = await Promise.all(Array.from({ length: 800 }, async () => decide()));
    expect(decisions.filter(({ allowed }) => allowed)).toHaveLength(500);
    expect(decisions.find(({ allowed }) => !allowed)).toMatchObject({
      reason: 'quota-exceeded',
      status: 429,
      message: 'Limit Exceeded',
      errorType: 'LimitExceededException',
    });
    await tollgate.close();
    expect(leases.debited.get('keyleased1')).toBe(500);
  });

  it('returns at close all that it holds', async () => {
    const { tollgate, leases, decide } = await started(aKey({ quota: 1_000_000 }));
    await decide();
    for (let call = 0; call < 1_000; call += 1) await decide();
    await tollgate.close();
    expect(leases.debited.get('keyleased1')).toBe(1_000);
  });

  it('gives back what lies idle, and spends it no more', async () => {
    const { tollgate, leases, decide } = await started(aKey({ quota: 1_000_000 }));
    await decide();
    for (let call = 0; call < 1_000; call += 1) await decide();
    const debited = () => leases.debited.get('keyleased1');
    expect(debited()).toBeGreaterThan(1_000);
    await vi.waitFor(() => expect(debited()).toBe(1_000), { timeout: 10_000 });
    for (let call = 0; call < 10; call += 1) await decide();
    await tollgate.close();
    expect(debited()).toBe(1_010);
  });

  it('forgets a key with the news, and decides anew', async () => {
    const key = aKey();
    const { leases, decide, service } = await started(key);
    await decide();
    expect(await decide()).toMatchObject({ allowed: true });
    key.enabled = false;
    leases.tell(key.keyId);
    await vi.waitFor(async () =>
      expect(await decide()).toMatchObject({ reason: 'disabled-key', status: 403 }),
    );
    key.enabled = true;
    leases.tell(null);
    await vi.waitFor(async () => expect(await decide()).toMatchObject({ allowed: true }));
    // Whoever was known is asked for with the leases, many in one question.
    expect(service.asked).toHaveLength(1);
  });

  it.each([
    { onFailure: 'deny' as const, answer: { allowed: false, reason: 'unavailable', status: 429 } },
    { onFailure: 'allow' as const, answer: { allowed: true, status: 200 } },
  ])(
    'spends what is in hand while the service is away, then does as the plan says: $onFailure',
    async ({ onFailure, answer }) => {
      const { service, tollgate, events, decide } = await started(
        aKey({ onFailure, throttle: null, quota: 100_000 }),
      );
      await decide();
      for (let call = 0; call < 2_000; call += 1) await decide();
      service.fault = 'hang';
      const decisions = [];
      for (let call = 0; call < 3_000; call += 1) {
        const decision = decide();
        decisions.push(decision);
        if (decision instanceof Promise) break;
      }
      expect(decisions.length).toBeGreaterThan(1);
      expect(await decisions.at(-1)).toMatchObject(answer);
      expect(events).toContainEqual({ type: 'service-away', cause: 'no answer in time' });
      service.fault = 'none';
      await vi.waitFor(
        async () => {
          await decide();
          expect(tollgate.stats().isServiceAway).toBe(false);
        },
        { timeout: 10_000 },
      );
      expect(await decide()).toMatchObject({ allowed: true });
    },
  );
});
