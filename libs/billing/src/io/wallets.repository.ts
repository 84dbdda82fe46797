import { Injectable } from '@nestjs/common';
import { walletStanding, type WalletTerms } from '@core/billing';
import type { Scope } from '@core/identity';
import { formatMoney } from '@core/kernel';
import { publishEvents } from '@io/notifications';
import { appendAudit, Database, type Prisma } from '@io/platform';
import { blockCustomer, databaseNow, liftBlocks } from './customer-blocks.js';

/** Which wallet. */
export interface WalletKey {
  readonly accountId: string;
  readonly customerId: string;
  readonly currency: string;
}

/** What is wanted of a customer's credit, and what it was when it was looked at last. */
export interface Wallet extends WalletKey, WalletTerms {
  readonly isLow: boolean;
  /** Credit less what is spent and no invoice has taken yet; null before the first look. */
  readonly leftMinor: bigint | null;
  readonly lookedAt: Date | null;
}

/** What is used and no invoice has taken yet: drafts that are not final, and open periods of subscriptions. */
export interface Unbilled {
  readonly draftsMinor: bigint;
  readonly subscriptionIds: readonly string[];
  /** The same when nothing became a draft, or final. */
  readonly fingerprint: string;
}

/** Who acts when no person does. */
const WORKER = 'worker';

/** Wallets. Locks: wallet → audit chain. */
@Injectable()
export class WalletsRepository {
  constructor(private readonly db: Database) {}

  async set(scope: Scope, key: WalletKey, terms: WalletTerms): Promise<void> {
    const { accountId, principalId } = scope;
    const { customerId, currency } = key;
    await this.db.$transaction(async (tx) => {
      await tx.$queryRaw`
        SELECT FROM customer WHERE account_id = ${accountId} AND id = ${customerId} FOR NO KEY UPDATE`;
      const where = { customerId_currency: { customerId, currency }, accountId };
      const stored = await tx.wallet.findUnique({ where });
      await tx.wallet.upsert({ where, create: { ...key, ...terms }, update: terms });
      const before = stored && { lowMinor: stored.lowMinor, isHardStop: stored.isHardStop };
      const change = { before, after: { currency, ...terms } };
      const entry = { action: 'set-wallet', subject: customerId, ...change };
      await appendAudit(tx, { accountId, principalId, ...entry });
    });
  }

  async find({ accountId, customerId, currency }: WalletKey): Promise<Wallet | null> {
    const where = { customerId_currency: { customerId, currency }, accountId };
    return this.db.wallet.findUnique({ where });
  }

  /** Wallets of which anybody wants to know anything, those first that were looked at the longest ago. */
  watched(limit: number): Promise<WalletKey[]> {
    return this.db.wallet.findMany({
      where: { OR: [{ lowMinor: { not: null } }, { isHardStop: true }, { isLow: true }] },
      orderBy: [{ lookedAt: { sort: 'asc', nulls: 'first' } }, { customerId: 'asc' }],
      take: limit,
      select: { accountId: true, customerId: true, currency: true },
    });
  }

  /** What is used of the credit and no invoice has taken yet. */
  unbilled(key: WalletKey, at: Date): Promise<Unbilled> {
    return unbilled(this.db, key, at);
  }

  /**
   * Keeps what a wallet is, with what follows: the event when it became low, the block when it is used up, or its end. The
   * balance is read within, so that a top-up that came since counts. False when an invoice was made or became final since `seen`,
   * of which one part would count twice: then it is to be looked at again.
   */
  async settle(
    key: WalletKey,
    { spentMinor, seen, at }: { spentMinor: bigint; seen: Unbilled; at: Date },
  ): Promise<boolean> {
    const { accountId, customerId, currency } = key;
    return this.db.$transaction(async (tx) => {
      await tx.$queryRaw`
        SELECT FROM wallet WHERE account_id = ${accountId} AND customer_id = ${customerId} AND currency = ${currency} FOR UPDATE`;
      const where = { customerId_currency: { customerId, currency }, accountId };
      const wallet = await tx.wallet.findUnique({ where });
      if (!wallet) return true;
      // In this order: what takes from the balance changes what is unbilled in the same transaction.
      const sums = { balanceMinor: await balance(tx, key, at), spentMinor };
      if ((await unbilled(tx, key, at)).fingerprint !== seen.fingerprint) return false;
      const standing = walletStanding(wallet, sums, wallet);
      const { mark, leftMinor, isCrossed, isBlocked } = standing;
      if (isCrossed) {
        const money = (minor: bigint) => formatMoney({ minor, currency });
        const data = {
          customerId,
          currency,
          left: money(leftMinor),
          low: money(wallet.lowMinor ?? 0n),
        };
        const subjectId = `${customerId} ${currency} ${mark.occurrence}`;
        const event = { accountId, type: 'credit.low', subjectId, at, data } as const;
        await publishEvents(tx, [event], await databaseNow(tx));
      }
      const why = { accountId, customerId, reason: 'credit-used-up', subjectId: currency } as const;
      if (isBlocked) await blockCustomer(tx, { ...why, note: null, createdBy: WORKER, at });
      else await liftBlocks(tx, why, at);
      await tx.wallet.update({ where, data: { ...mark, leftMinor, lookedAt: at } });
      return true;
    });
  }
}

async function unbilled(
  db: Prisma.TransactionClient,
  { accountId, customerId, currency }: WalletKey,
  at: Date,
): Promise<Unbilled> {
  const own = { accountId, customerId, currency };
  const drafts = await db.invoice.findMany({
    where: { ...own, status: 'draft' },
    select: { id: true, subtotalMinor: true },
    orderBy: { id: 'asc' },
  });
  const open = await db.subscription.findMany({
    where: { ...own, closesAt: { not: null }, startsAt: { lte: at } },
    select: { id: true, billedTo: true },
    orderBy: { id: 'asc' },
  });
  return {
    draftsMinor: drafts.reduce((sum, { subtotalMinor }) => sum + subtotalMinor, 0n),
    subscriptionIds: open.map(({ id }) => id),
    fingerprint: JSON.stringify([drafts.map(({ id }) => id), open]),
  };
}

/** What is left of grants that pay now. */
async function balance(
  tx: Prisma.TransactionClient,
  { accountId, customerId, currency }: WalletKey,
  at: Date,
): Promise<bigint> {
  const { _sum } = await tx.creditGrant.aggregate({
    where: {
      accountId,
      customerId,
      currency,
      effectiveAt: { lte: at },
      OR: [{ expiresAt: null }, { expiresAt: { gt: at } }],
    },
    _sum: { leftMinor: true },
  });
  return _sum.leftMinor ?? 0n;
}
