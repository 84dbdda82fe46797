import { expect } from 'vitest';
import { allPages } from './all-pages.js';
import type { TestApi } from './api.js';
import { wireRecord } from './numbered-sender.js';
import { placeText, type RecordPlace } from './sayings.js';
import type { LedgerRecord } from './usage-ledger.js';

type Http = Pick<TestApi, 'call'>;

/** The open records of the quarantine, each by its place. */
export async function quarantined(
  http: Http,
): Promise<{ id: string; place: string; reason: string }[]> {
  const records = await allPages<RecordPlace & { id: string; reason: string }>(
    http,
    '/v1/usage/quarantine?state=open',
  );
  return records.map((one) => ({ id: one.id, place: placeText(one), reason: one.reason }));
}

/** Replays ten open records at most as they were meant, and drops the others; those that count now, by their places. */
export async function settleQuarantine(
  http: Http,
  meant: ReadonlyMap<string, LedgerRecord>,
): Promise<Map<string, LedgerRecord>> {
  const replayed = new Map<string, LedgerRecord>();
  for (const { id, place } of await quarantined(http)) {
    const record = meant.get(place);
    if (!record || replayed.size === 10) continue;
    const path = `/v1/usage/quarantine/${id}/replay`;
    expect(await http.call('POST', path, { body: { record: wireRecord(record) } })).toMatchObject({
      status: 200,
    });
    replayed.set(place, record);
  }
  const { status } = await http.call('POST', '/v1/usage/quarantine/drops', {
    body: { filter: {}, reason: 'keys that nobody has' },
  });
  expect(status).toBe(200);
  expect(await quarantined(http)).toEqual([]);
  return replayed;
}
