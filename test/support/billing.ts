import { randomBytes } from 'node:crypto';
import { prefixedId, shortId } from '@core/kernel';
import { Database, Keyring } from '@io/platform';
import type { TestApi } from './api.js';

/** Rows that billing stands on, put straight into the database. */
export interface BillingRows {
  readonly db: Database;
  readonly accountId: string;
  customer(change?: { accountId?: string; name?: string; timezone?: string }): Promise<string>;
  usagePlan(change?: { accountId?: string }): Promise<string>;
  /** A token of a customer, or of an operator of another account. */
  customerToken(customerId: string, accountId?: string): Promise<string>;
  operatorToken(accountId: string, role?: string): Promise<string>;
  otherAccount(): Promise<string>;
  moveClockTo(instant: string): Promise<void>;
}

/** The rows of the test api's own account. */
export async function billingRows(api: TestApi): Promise<BillingRows> {
  const db = api.app.get(Database);
  const keyring = api.app.get(Keyring);
  const { id: accountId } = await db.account.findFirstOrThrow({ where: { isDefault: true } });

  const token = async (owner: {
    accountId: string;
    kind: string;
    role?: string;
    customerId?: string;
  }): Promise<string> => {
    const value = `tg${owner.kind.charAt(0)}_${randomBytes(20).toString('hex')}`;
    await db.token.create({
      data: {
        id: prefixedId('tok', randomBytes),
        ...owner,
        name: 'test',
        hash: Uint8Array.from(keyring.hash('token-pepper', value)),
        pepperId: keyring.currentId,
        lastFour: value.slice(-4),
      },
    });
    return value;
  };

  return {
    db,
    accountId,
    customer: async (change = {}) => {
      const id = prefixedId('cus', randomBytes);
      await db.customer.create({ data: { id, accountId, name: 'Acme', ...change } });
      return id;
    },
    usagePlan: async (change = {}) => {
      const id = shortId(6, randomBytes);
      await db.usagePlan.create({ data: { id, accountId, name: `plan ${id}`, ...change } });
      return id;
    },
    customerToken: (customerId, ofAccount = accountId) =>
      token({ accountId: ofAccount, kind: 'customer', customerId }),
    operatorToken: (ofAccount, role = 'owner') =>
      token({ accountId: ofAccount, kind: 'operator', role }),
    otherAccount: async () => {
      const id = prefixedId('acc', randomBytes);
      await db.account.create({ data: { id, name: 'Other', mode: 'test' } });
      return id;
    },
    moveClockTo: async (instant) => {
      const clockOffsetMs = BigInt(Date.parse(instant) - Date.now());
      await db.account.update({ where: { id: accountId }, data: { clockOffsetMs } });
    },
  };
}
