import { expect } from 'vitest';
import { allPages } from './all-pages.js';
import type { TestApi } from './api.js';
import { wireRecord } from './numbered-sender.js';
import type { LedgerRecord } from './usage-ledger.js';

type Http = Pick<TestApi, 'call'>;

/** The open records of the quarantine, each by its place. */
export async function quarantined(http: Http): Promise<{ id: string; place: string }[]> {
  const records = await allPages<{
    id: string;
    gatewayId: string;
    epoch: string;
    sequence: number;
    index: number;
  }>(http, '/v1/usage/quarantine?state=open');
  return records.map(({ id, gatewayId, epoch, sequence, index }) => ({
    id,
    place: `${gatewayId} ${epoch} ${sequence} ${index}`,
  }));
}

/** Corrects up to ten open records and drops the others; those that count now. */
export async function settleQuarantine(
  http: Http,
  meant: ReadonlyMap<string, LedgerRecord>,
): Promise<LedgerRecord[]> {
  const corrected: LedgerRecord[] = [];
  for (const { id, place } of (await quarantined(http)).slice(0, 10)) {
    const record = meant.get(place)!;
    const path = `/v1/usage/quarantine/${id}/replay`;
    expect(await http.call('POST', path, { body: { record: wireRecord(record) } })).toMatchObject({
      status: 200,
    });
    corrected.push(record);
  }
  const { status } = await http.call('POST', '/v1/usage/quarantine/drops', {
    body: { filter: {}, reason: 'keys that nobody has' },
  });
  expect(status).toBe(200);
  expect(await quarantined(http)).toEqual([]);
  return corrected;
}
