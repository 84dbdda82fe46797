import type { ConnectionEvents, UsageBatch } from '@core/metering';
import type { FieldFault } from '@core/kernel';
import type pg from 'pg';
import type { UsageOwner } from './usage-owners.repository.js';

/** The gateway that a batch comes from. */
interface TellingGateway {
  readonly accountId: string;
  readonly gatewayId: string;
}

interface StoredRow {
  id: string;
  key_id: string | null;
  api_id: string | null;
  stage: string | null;
  opened_at: Date | null;
  closed_at: Date | null;
}

/** One connection's row as a batch would have it; null where the batch says nothing. */
interface ConnectionRow {
  readonly id: string;
  owner: UsageOwner | null;
  openedAt: number | null;
  closedAt: number | null;
}

/**
 * Stores what a batch tells of connections, in its transaction; the owners of those it opens come after those of its records. What stands stays: returns where the batch contradicts
 * it, which the caller must take back. Nothing depends on the order in which batches come. Locks connections by id, then their epoch.
 */
export async function storeConnections(
  client: pg.PoolClient,
  source: TellingGateway,
  { epoch, connections, records }: UsageBatch,
  { owners, receivedAt }: { owners: readonly UsageOwner[]; receivedAt: string },
): Promise<FieldFault[]> {
  if (connections === undefined) return [];
  const rows = rowsOf(
    connections,
    owners.slice(records.length, records.length + connections.opened.length),
  );
  const faults =
    rows.length === 0
      ? new Map<string, string>()
      : await storeRows(client, { source, epoch, rows });
  const { opened, closed } = connections;
  if (faults.size > 0) {
    const pointers = (list: 'opened' | 'closed', items: readonly { id: string }[]) =>
      items.flatMap(({ id }, index): FieldFault[] => {
        const detail = faults.get(`${list} ${id}`);
        return detail === undefined ? [] : [{ pointer: `/connections/${list}/${index}`, detail }];
      });
    return [...pointers('opened', opened), ...pointers('closed', closed)];
  }
  await client.query({
    name: 'beat-connection-epoch',
    text: `
      INSERT INTO connection_epoch AS e (account_id, gateway_id, epoch, heartbeat_at, heard_at)
      VALUES ($1, $2, $3, $4, $5)
      ON CONFLICT (gateway_id, epoch) DO UPDATE SET
        heartbeat_at = greatest(e.heartbeat_at, excluded.heartbeat_at),
        heard_at = greatest(e.heard_at, excluded.heard_at),
        swept_at = NULL,
        batches = e.batches + 1`,
    values: [source.accountId, source.gatewayId, epoch, new Date(connections.at), receivedAt],
  });
  return [];
}

/** By connection, in the order of their ids; one may be opened and closed by the same batch. */
function rowsOf(
  { opened, closed }: ConnectionEvents,
  owners: readonly UsageOwner[],
): ConnectionRow[] {
  const rows = new Map<string, ConnectionRow>();
  const rowOf = (id: string): ConnectionRow => {
    const row = rows.get(id) ?? { id, owner: null, openedAt: null, closedAt: null };
    rows.set(id, row);
    return row;
  };
  for (const [index, { id, at }] of opened.entries())
    Object.assign(rowOf(id), { owner: owners[index], openedAt: at });
  for (const { id, at } of closed) rowOf(id).closedAt = at;
  // In UTF-16 units: any order serves that all transactions share.
  return [...rows.values()].toSorted((a, b) => (a.id < b.id ? -1 : 1));
}

/** Puts the rows, and says by list and id which of them contradict what stands. */
async function storeRows(
  client: pg.PoolClient,
  {
    source,
    epoch,
    rows,
  }: { source: TellingGateway; epoch: string; rows: readonly ConnectionRow[] },
): Promise<Map<string, string>> {
  const of = (name: keyof UsageOwner) => rows.map(({ owner }) => owner?.[name] ?? null);
  const instants = (name: 'openedAt' | 'closedAt') =>
    rows.map((row) => {
      const ms = row[name];
      return ms === null ? null : new Date(ms);
    });
  const { rows: stored } = await client.query<StoredRow>({
    name: 'store-connections',
    text: `
      INSERT INTO connection AS c (account_id, gateway_id, epoch, id, customer_id, key_id, api_id, stage,
        usage_plan_id, opened_at, closed_at)
      SELECT $1, $2, $3, told.* FROM unnest($4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[],
        $10::timestamptz[], $11::timestamptz[]) told
      ON CONFLICT (gateway_id, epoch, id) DO UPDATE SET
        customer_id = coalesce(c.customer_id, excluded.customer_id),
        key_id = coalesce(c.key_id, excluded.key_id),
        api_id = coalesce(c.api_id, excluded.api_id),
        stage = coalesce(c.stage, excluded.stage),
        usage_plan_id = coalesce(c.usage_plan_id, excluded.usage_plan_id),
        opened_at = coalesce(c.opened_at, excluded.opened_at),
        closed_at = coalesce(c.closed_at, excluded.closed_at)
      RETURNING id, key_id, api_id, stage, opened_at, closed_at`,
    values: [
      source.accountId,
      source.gatewayId,
      epoch,
      rows.map(({ id }) => id),
      of('customerId'),
      of('keyId'),
      of('apiId'),
      of('stage'),
      of('usagePlanId'),
      instants('openedAt'),
      instants('closedAt'),
    ],
  });
  const faults = new Map<string, string>();
  for (const [index, { id, owner, openedAt, closedAt }] of rows.entries()) {
    const row = stored[index];
    if (row?.id !== id) throw new Error('a connection was stored in another place');
    const isSameOpening =
      row.opened_at?.getTime() === openedAt &&
      row.key_id === owner?.keyId &&
      row.api_id === owner?.apiId &&
      row.stage === owner?.stage;
    if (openedAt !== null && !isSameOpening)
      faults.set(`opened ${id}`, 'was opened before, at another instant or for another key');
    if (closedAt !== null && row.closed_at?.getTime() !== closedAt)
      faults.set(`closed ${id}`, 'was closed before, at another instant');
  }
  return faults;
}
