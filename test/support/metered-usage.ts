import { expect } from 'vitest';
import { allPages } from './all-pages.js';
import type { ChaosServices } from './chaos-services.js';
import { CHAOS_METERS } from './event-sender.js';
import { scaled } from './usage-ledger.js';

const HOUR_MS = 3_600_000;

/** Both hold the same lines, each as often; a difference is shown without all that is equal. */
export function expectSame(found: readonly string[], counted: readonly string[]): void {
  expect(difference(found, counted)).toEqual({ missing: [], tooMuch: [], lines: counted.length });
}

export function difference(found: readonly string[], counted: readonly string[]) {
  const [inFound, inCounted] = [new Set(found), new Set(counted)];
  return {
    missing: counted.filter((line) => !inFound.has(line)),
    tooMuch: found.filter((line) => !inCounted.has(line)),
    lines: found.length,
  };
}

/** Waits until nothing waits for a roll-up any more. */
export async function allRolledUp(services: ChaosServices): Promise<void> {
  const waiting = () =>
    services.lines(
      `SELECT 'batch ' || id AS line FROM usage_batch WHERE rolled_up_at IS NULL
       UNION ALL SELECT 'events ' || id FROM event_batch WHERE rolled_up_at IS NULL
       UNION ALL SELECT 'connection ' || id FROM connection WHERE NOT is_counted LIMIT 5`,
    );
  await expect.poll(waiting, { timeout: 60_000, interval: 100 }).toEqual([]);
}

/** The command that proves roll-ups by their records finds no difference. */
export async function expectProven(services: ChaosServices): Promise<void> {
  const day = (ms: number) => new Date(ms).toISOString().slice(0, 10);
  const [from, to] = [day(Date.now() - 72 * HOUR_MS), day(Date.now() + 48 * HOUR_MS)];
  const options = ['--from', from, '--to', to, '--dry-run'];
  const { code, output } = await services.worker.run('rebuild-usage.js', options);
  expect({ code, output }).toEqual({
    code: 0,
    output: expect.stringMatching(/^(\S+ \S+ equal\n)+$/),
  });
}

export async function openGaps(services: ChaosServices): Promise<string[]> {
  const { body } = await services.api.http.call<{
    items: { gatewayId: string; epoch: string; ranges: { first: number; last: number }[] }[];
  }>('GET', '/v1/usage/gaps');
  return body.items
    .flatMap(({ gatewayId, epoch, ranges }) =>
      ranges.map(({ first, last }) => `${gatewayId} ${epoch} ${first}-${last}`),
    )
    .toSorted();
}

/** Numbers that came again with other content. */
export async function incidents(services: ChaosServices): Promise<string[]> {
  const all = await allPages<{ gatewayId: string; epoch: string; sequence: number }>(
    services.api.http,
    '/v1/usage/incidents',
  );
  return all.map(({ gatewayId, epoch, sequence }) => `${gatewayId} ${epoch} ${sequence}`);
}

/** Usage of own meters by hour, customer and model, as the api answers it. */
export async function eventUsage(services: ChaosServices): Promise<string[]> {
  const hour = Math.floor(Date.now() / HOUR_MS) * HOUR_MS;
  const found: string[] = [];
  for (const { name } of CHAOS_METERS) {
    const query = new URLSearchParams({
      meter: name,
      interval: 'hour',
      groupBy: 'customerId,dimensions',
      from: new Date(hour - 24 * HOUR_MS).toISOString(),
      to: new Date(hour + 2 * HOUR_MS).toISOString(),
    });
    const { status, body } = await services.api.http.call<{
      items: {
        from: string;
        customerId: string;
        dimensions: { model: string };
        quantity: string;
      }[];
    }>('GET', `/v1/usage?${query.toString()}`);
    expect(status).toBe(200);
    for (const { from, customerId, dimensions, quantity } of body.items)
      found.push(
        `${new Date(from).toISOString()} ${customerId} ${dimensions.model} ${name} ${scaled(quantity)}`,
      );
  }
  return found.toSorted();
}
