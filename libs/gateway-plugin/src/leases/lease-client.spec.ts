import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { ServiceClient } from '../service/service-client.js';
import { LeaseClient } from './lease-client.js';

/** A client whose service answers every question at once, or not at all. */
function aClient() {
  const told: number[] = [];
  const client = new ServiceClient({ url: 'http://127.0.0.1:9', token: 'tgw_x' });
  const service = { isAway: false };
  vi.spyOn(client, 'post').mockImplementation(async () => {
    if (service.isAway) throw new Error('away');
    return { status: 200, text: '{}', at: 0 };
  });
  const leases = new LeaseClient({
    client,
    holder: 'holder',
    apiId: 'api',
    stage: 'prod',
    lastEventId: () => undefined,
    onSilence: () => told.push(performance.now()),
  });
  return { leases, told, service };
}

describe('LeaseClient', () => {
  beforeEach(() => {
    vi.useFakeTimers({ toFake: ['performance'], now: 0 });
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  it('tells that units of quotas were void when the service answers after 45 s', async () => {
    const { leases, told, service } = aClient();
    await leases.greet();
    told.length = 0;
    vi.advanceTimersByTime(44_999);
    await leases.greet();
    expect(told).toEqual([]);
    service.isAway = true;
    vi.advanceTimersByTime(30_000);
    await leases.greet();
    service.isAway = false;
    vi.advanceTimersByTime(15_000);
    await leases.greet();
    expect(told).toEqual([89_999]);
  });
});
