import { randomBytes } from 'node:crypto';
import { prefixedId, shortId } from '@core/kernel';
import type { Keyring } from '@io/platform';
import type pg from 'pg';

/** Where rows are put: a pool or a client. */
export type Rows = Pick<pg.Pool, 'query'>;

const id = (prefix: string) => prefixedId(prefix, randomBytes);

/** Puts a row and returns it; a name is a column, a value is what it holds. */
async function put<T extends Record<string, unknown>>(db: Rows, table: string, row: T): Promise<T> {
  const columns = Object.keys(row);
  await db.query(
    `INSERT INTO ${table} (${columns.join(', ')}) VALUES (${columns.map((_, n) => `$${n + 1}`).join(', ')})`,
    Object.values(row),
  );
  return row;
}

/** An account in test mode; the first one of a running api is `defaultAccount`. */
export const anAccount = (db: Rows, row: { id?: string; mode?: string } = {}) =>
  put(db, 'account', { id: id('acc'), name: 'An owner', mode: 'test', ...row });

/** The id of the account that the api made at its start. */
export async function defaultAccount(db: Rows): Promise<string> {
  const { rows } = await db.query<{ id: string }>('SELECT id FROM account WHERE is_default');
  return rows[0]!.id;
}

export const aGateway = (db: Rows, row: { account_id: string; name?: string }) =>
  put(db, 'gateway', { id: id('gw'), name: id('gateway'), ...row });

export const aCustomer = (db: Rows, row: { account_id: string; id?: string; name?: string }) =>
  put(db, 'customer', { id: id('cus'), name: 'A customer', ...row });

export const anApi = (db: Rows, row: { account_id: string; protocol?: string }) =>
  put(db, 'api', { id: shortId(10, randomBytes), name: 'Petstore', ...row });

export const aStage = (db: Rows, row: { account_id: string; api_id: string; name?: string }) =>
  put(db, 'stage', { name: 'prod', ...row });

export const aUsagePlan = (db: Rows, row: { account_id: string; name?: string }) =>
  put(db, 'usage_plan', { id: shortId(6, randomBytes), name: 'Basic', ...row });

/** Lets a plan's keys call a stage. */
export const aPlanStage = (
  db: Rows,
  row: { account_id: string; usage_plan_id: string; api_id: string; stage: string },
) => put(db, 'usage_plan_stage', row);

/** A key nobody knows the value of: to be decided about, make one over HTTP. */
export const anApiKey = (db: Rows, row: { account_id: string; customer_id: string }) =>
  put(db, 'api_key', {
    id: shortId(10, randomBytes),
    hash: randomBytes(32),
    pepper_id: 'k1',
    last_four: 'abcd',
    ...row,
  });

/** Puts a key into a plan. */
export const aPlanKey = (
  db: Rows,
  row: { account_id: string; usage_plan_id: string; key_id: string },
) => put(db, 'usage_plan_key', row);

/** A customer with a key that a plan lets call the stage `prod` of an api: the ids a usage record needs. */
export async function aKeyInPlan(db: Rows, accountId: string, protocol = 'REST') {
  const account_id = accountId;
  const customer = await aCustomer(db, { account_id });
  const api = await anApi(db, { account_id, protocol });
  const { name: stage } = await aStage(db, { account_id, api_id: api.id });
  const plan = await aUsagePlan(db, { account_id });
  await aPlanStage(db, { account_id, usage_plan_id: plan.id, api_id: api.id, stage });
  const key = await anApiKey(db, { account_id, customer_id: customer.id });
  await aPlanKey(db, { account_id, usage_plan_id: plan.id, key_id: key.id });
  return {
    accountId,
    customerId: customer.id,
    keyId: key.id,
    apiId: api.id,
    stage,
    usagePlanId: plan.id,
  };
}

/** A token that a customer may use, and its value. */
export async function aCustomerToken(
  db: Rows,
  keyring: Keyring,
  row: { account_id: string; customer_id: string },
): Promise<string> {
  const value = id('tgc');
  const hash = keyring.hash('token-pepper', value);
  const token = {
    id: id('tok'),
    kind: 'customer',
    name: 'A token',
    hash,
    pepper_id: 'k1',
    last_four: 'abcd',
  };
  await put(db, 'token', { ...token, ...row });
  return value;
}
