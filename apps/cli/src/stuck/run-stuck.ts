import type { Command } from '../command.js';
import { ask, type Service } from '../exports/service.js';
import { stuckTable, type OpenExchange, type OpenRecord } from './stuck-table.js';

const EXCHANGES = '/v1/exchanges';
const RECORDS = '/v1/marketplace/metering-records';

/** Lists what is stuck between here and remote services, or settles one of it. */
export async function runStuck(
  { service, settle }: Extract<Command, { name: 'stuck' }>,
  print: (line: string) => void,
): Promise<void> {
  if (settle) {
    const { how, id, reason } = settle;
    const isRecord = id.startsWith('mrec_');
    const path = `${isRecord ? RECORDS : EXCHANGES}/${encodeURIComponent(id)}/${how}`;
    // A record is sent again as it is: there is nothing to be said of it.
    const answer = await ask(service, path, isRecord ? {} : { reason });
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- what the api documents
    const { status, state } = (await answer.json()) as { status?: string; state?: string };
    print(`${id} is ${status ?? state} now.`);
    return;
  }
  const exchanges = await all<OpenExchange>(service, EXCHANGES, '');
  const records: OpenRecord[] = [];
  for (const state of ['pending', 'dead'])
    records.push(...(await all<OpenRecord>(service, RECORDS, `state=${state}&`)));
  print(stuckTable({ exchanges, records }, new Date()));
}

/** Every page of a list. */
async function all<T>(service: Service, path: string, filter: string): Promise<T[]> {
  const found: T[] = [];
  for (let cursor: string | undefined; ;) {
    const from = cursor === undefined ? '' : `&cursor=${encodeURIComponent(cursor)}`;
    const answer = await ask(service, `${path}?${filter}limit=500${from}`);
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- what the api documents
    const page = (await answer.json()) as { items: T[]; next?: string };
    found.push(...page.items);
    if (page.next === undefined) return found;
    cursor = page.next;
  }
}
