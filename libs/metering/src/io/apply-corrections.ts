import assert from 'node:assert';
import {
  CORRECTED_EPOCH,
  correctedMeters,
  type CorrectedMeter,
  type CorrectionRefusal,
  type Quantities,
} from '@core/metering';
import { Prisma, type Database, type SystemClock } from '@io/platform';
import { targetsOf, type TargetRow } from './correction-targets.js';
import { insertRecords, type RecordRow } from './insert-records.js';

/** A correction has at most twelve rows. */
const CORRECTIONS_PER_TRANSACTION = 500;

interface LockedRow {
  readonly id: string;
  readonly number: bigint;
  readonly accountId: string;
  readonly gatewayId: string;
  readonly quantities: string | null;
}

/** A correction with what it corrects. */
type Due = LockedRow & Pick<TargetRow, 'target'> & { readonly applied: Applied | null };
type Applied = {
  readonly [Field in keyof Omit<TargetRow, 'number' | 'target'>]: NonNullable<TargetRow[Field]>;
};

/**
 * Settles waiting corrections, of an account or with null of any, whose targets are rolled up, or can never be, and returns of how many:
 * what a target counts is taken away and what its correction says is added, by records of the target's instant in a batch of the service's
 * own, which the next roll-up sums. So sums stay sums of records, and are never negative: what is taken away was added before.
 *
 * Whoever has locked a correction settles it, in one transaction with its records. Locks are taken in the order of their numbers; with an
 * account those that another worker has are waited for.
 */
export async function applyCorrections(
  { db, clock }: { readonly db: Database; readonly clock: SystemClock },
  accountId: string | null,
): Promise<number> {
  const ofAccount = accountId === null ? Prisma.empty : Prisma.sql`AND account_id = ${accountId}`;
  const waiting = Prisma.sql`SELECT number, account_id, gateway_id, target_epoch, target_sequence, target_ordinal
    FROM usage_correction WHERE state = 'waiting' ${ofAccount}`;
  // Asked by itself, since what follows is planned over every day of records.
  const [found] = await db.$queryRaw<{ isAny: boolean }[]>`SELECT EXISTS (${waiting}) AS "isAny"`;
  if (!found?.isAny) return 0;
  const targets = await db.$queryRaw<TargetRow[]>`
    SELECT * FROM (${targetsOf(waiting)}) resolved
    WHERE target NOT IN ('stored', 'missing', 'waiting', 'quarantined')
    ORDER BY number LIMIT ${CORRECTIONS_PER_TRANSACTION}`;
  if (targets.length === 0) return 0;
  return db.$transaction(async (tx) => {
    const now = clock.now();
    const due = await lock(tx, targets, accountId === null ? 'SKIP LOCKED' : 'WAIT');
    if (due.length === 0) return 0;
    const applied = due.filter((one) => one.applied !== null);
    const batches = await insertBatches(tx, applied, now);
    await tx.$executeRaw(insertRecords(rowsOf(applied, batches), now));
    await settle(tx, due, { batches, now });
    return due.length;
  });
}

async function lock(
  tx: Prisma.TransactionClient,
  targets: readonly TargetRow[],
  mode: 'SKIP LOCKED' | 'WAIT',
): Promise<Due[]> {
  const rows = await tx.$queryRaw<LockedRow[]>`
    SELECT id, number, account_id AS "accountId", gateway_id AS "gatewayId", quantities FROM usage_correction
    WHERE number = ANY (${targets.map(({ number }) => number)}::bigint[]) AND state = 'waiting'
    ORDER BY number FOR NO KEY UPDATE ${mode === 'WAIT' ? Prisma.empty : Prisma.sql`SKIP LOCKED`}`;
  const byNumber = new Map(targets.map((target) => [target.number, target]));
  return rows.map((row) => {
    const found = byNumber.get(row.number);
    assert(found, 'what is locked was found');
    const { target } = found;
    return { ...row, target, applied: target === 'counted' ? appliedTo(found) : null };
  });
}

function appliedTo(found: TargetRow): Applied {
  const { replaced, at, customerId, keyId, apiId, stage, usagePlanId } = found;
  const { method, resourcePath, statusClass } = found;
  const owner = { customerId, keyId, apiId, stage, usagePlanId };
  const what = { replaced, at, ...owner, method, resourcePath, statusClass };
  assert(!Object.values(what).includes(null), 'a target that counts is known in full');
  return what as Applied;
}

/** What a correction changes, by meter. */
const metersOf = ({ quantities, applied }: Due): CorrectedMeter[] =>
  correctedMeters(
    parsed(applied?.replaced ?? '{}'),
    quantities === null ? null : parsed(quantities),
  );

/** Quantities that were written by us. */
const parsed = (text: string) => JSON.parse(text) as Quantities;

/** A batch for the corrections of each gateway; its number is the first one's, and free for ever since that is applied once. */
async function insertBatches(
  tx: Prisma.TransactionClient,
  applied: readonly Due[],
  now: Date,
): Promise<Map<string, bigint>> {
  const batches = new Map<string, bigint>();
  for (const gatewayId of new Set(applied.map((one) => one.gatewayId))) {
    const ofGateway = applied.filter((one) => one.gatewayId === gatewayId);
    const [first] = ofGateway;
    assert(first);
    const rowCount = ofGateway
      .flatMap(metersOf)
      .reduce(
        (sum, { before, after }) => sum + Number(before !== null) + Number(after !== null),
        0,
      );
    const { id } = await tx.usageBatch.create({
      data: {
        accountId: first.accountId,
        gatewayId,
        epoch: CORRECTED_EPOCH,
        sequence: first.number,
        contentHash: new Uint8Array(),
        recordCount: ofGateway.length,
        rowCount,
        receivedAt: now,
      },
      select: { id: true },
    });
    batches.set(gatewayId, id);
  }
  return batches;
}

/** Of each correction what is added, by its place in its batch, and what is taken away, by that counted down from -1. */
function rowsOf(applied: readonly Due[], batches: ReadonlyMap<string, bigint>): RecordRow[] {
  const places = new Map<bigint, number>();
  return applied.flatMap((one) => {
    const batchId = batches.get(one.gatewayId);
    assert(batchId !== undefined && one.applied);
    const place = places.get(batchId) ?? 0;
    places.set(batchId, place + 1);
    const { accountId } = one;
    const { at, customerId, keyId, apiId, stage, usagePlanId } = one.applied;
    const { method, resourcePath, statusClass } = one.applied;
    const owner = { customerId, keyId, apiId, stage, usagePlanId };
    const row = { batchId, accountId, owner, at, method, resourcePath, statusClass };
    return metersOf(one).flatMap(({ meter, before, after }): RecordRow[] => [
      ...(before === null ? [] : [{ ...row, ordinal: -1 - place, meter, quantity: `-${before}` }]),
      ...(after === null ? [] : [{ ...row, ordinal: place, meter, quantity: after }]),
    ]);
  });
}

async function settle(
  tx: Prisma.TransactionClient,
  due: readonly Due[],
  { batches, now }: { readonly batches: ReadonlyMap<string, bigint>; readonly now: Date },
): Promise<void> {
  const of = (field: keyof Applied) => due.map(({ applied }) => applied?.[field] ?? null);
  const refusals = due.map(({ applied, target }) =>
    applied === null ? (target as CorrectionRefusal) : null,
  );
  await tx.$executeRaw`
    UPDATE usage_correction c SET state = CASE WHEN d.refusal IS NULL THEN 'applied' ELSE 'refused' END, settled_at = ${now},
      refusal = d.refusal, batch_id = d.batch_id, replaced = d.replaced, at = d.at, customer_id = d.customer_id,
      key_id = d.key_id, api_id = d.api_id, stage = d.stage, usage_plan_id = d.usage_plan_id, method = d.method,
      resource_path = d.resource_path, status_class = d.status_class
    FROM unnest(
      ${due.map(({ number }) => number)}::bigint[],
      ${refusals}::text[],
      ${due.map(({ applied, gatewayId }) => (applied ? batches.get(gatewayId) : null))}::bigint[],
      ${of('replaced')}::text[], ${of('at')}::timestamptz[], ${of('customerId')}::text[], ${of('keyId')}::text[],
      ${of('apiId')}::text[], ${of('stage')}::text[], ${of('usagePlanId')}::text[], ${of('method')}::text[],
      ${of('resourcePath')}::text[], ${of('statusClass')}::text[]
    ) AS d (number, refusal, batch_id, replaced, at, customer_id, key_id, api_id, stage, usage_plan_id, method,
      resource_path, status_class)
    WHERE c.number = d.number`;
}
