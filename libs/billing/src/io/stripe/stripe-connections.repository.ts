import { Injectable } from '@nestjs/common';
import type { Scope } from '@core/identity';
import { appendAudit, Database, Keyring, NotFound, type Prisma } from '@io/platform';

/** The Stripe account of an account, as it is shown. */
export interface StripeConnection {
  readonly stripeAccountId: string;
  readonly isLive: boolean;
  readonly keyLastFour: string;
  readonly hasWebhookSecret: boolean;
  /** Invoices issued from here on are pushed by themselves; null: none. */
  readonly pushesFrom: Date | null;
  readonly callsPerSecond: number;
  readonly createdAt: Date;
  readonly updatedAt: Date;
}

/** The same with its secrets. */
export interface OpenStripeConnection extends StripeConnection {
  readonly accountId: string;
  readonly secretKey: string;
}

/** What is set of a connection; what is left out stays. */
export interface StripeSettings {
  readonly key?: { readonly secret: string; readonly stripeAccountId: string };
  readonly webhookSecret?: string;
  readonly autoPush?: boolean;
  readonly callsPerSecond?: number;
}

const TABLE = 'stripe_connection';
type Row = Prisma.StripeConnectionGetPayload<object>;
type SecretColumn = 'sealed_key' | 'sealed_webhook_secret' | 'sealed_webhook_secret_before';

/** Connections to Stripe. Their secrets leave here only for Stripe itself. */
@Injectable()
export class StripeConnectionsRepository {
  constructor(
    private readonly db: Database,
    private readonly keyring: Keyring,
  ) {}

  async find({ accountId }: { readonly accountId: string }): Promise<StripeConnection | null> {
    const row = await this.db.stripeConnection.findUnique({ where: { accountId } });
    return row && toView(row);
  }

  async open(accountId: string): Promise<OpenStripeConnection | null> {
    const row = await this.db.stripeConnection.findUnique({ where: { accountId } });
    if (!row) return null;
    const secretKey = this.unseal(accountId, 'sealed_key', row.sealedKey);
    return { ...toView(row), accountId, secretKey };
  }

  /** What its events are signed with, the newest first. */
  async webhookSecrets(accountId: string): Promise<{ secrets: string[]; isLive: boolean } | null> {
    const row = await this.db.stripeConnection.findUnique({ where: { accountId } });
    if (!row) return null;
    const { sealedWebhookSecret: now, sealedWebhookSecretBefore: before, isLive } = row;
    const secrets = [
      ...(now ? [this.unseal(accountId, 'sealed_webhook_secret', now)] : []),
      ...(before ? [this.unseal(accountId, 'sealed_webhook_secret_before', before)] : []),
    ];
    return { secrets, isLive };
  }

  /** Whether the account is in test mode; its keys of Stripe must be of the same. */
  async isTestMode({ accountId }: Scope): Promise<boolean> {
    const { mode } = await this.db.account.findUniqueOrThrow({ where: { id: accountId } });
    return mode === 'test';
  }

  /**
   * Sets what is given; the first time there has to be a key. Another account of Stripe is refused while one is connected, since
   * its customers and invoices are not there: false.
   */
  save(
    { accountId, principalId }: Scope,
    { key, webhookSecret, autoPush, callsPerSecond }: StripeSettings,
    { now, businessNow }: { readonly now: Date; readonly businessNow: Date },
  ): Promise<StripeConnection | 'other-account' | 'no-key'> {
    const seal = (column: SecretColumn, text: string) =>
      this.keyring.seal(text, place(accountId, column));
    return this.db.$transaction(async (tx) => {
      await tx.$queryRaw`SELECT FROM account WHERE id = ${accountId} FOR NO KEY UPDATE`;
      const before = await tx.stripeConnection.findUnique({ where: { accountId } });
      if (!before && !key) return 'no-key';
      if (before && key && key.stripeAccountId !== before.stripeAccountId) return 'other-account';
      const isNewSecret = webhookSecret !== undefined;
      const replaced = before?.sealedWebhookSecret;
      const set = {
        ...(key && {
          stripeAccountId: key.stripeAccountId,
          isLive: isLiveKey(key.secret),
          sealedKey: seal('sealed_key', key.secret),
          keyLastFour: key.secret.slice(-4),
        }),
        ...(isNewSecret && { sealedWebhookSecret: seal('sealed_webhook_secret', webhookSecret) }),
        ...(isNewSecret &&
          replaced && {
            sealedWebhookSecretBefore: seal(
              'sealed_webhook_secret_before',
              this.unseal(accountId, 'sealed_webhook_secret', replaced),
            ),
          }),
        ...(autoPush !== undefined && {
          pushesFrom: autoPush ? (before?.pushesFrom ?? businessNow) : null,
        }),
        ...(callsPerSecond !== undefined && { callsPerSecond }),
        updatedAt: now,
      };
      const row = before
        ? await tx.stripeConnection.update({ where: { accountId }, data: set })
        : await tx.stripeConnection.create({
            data: {
              ...(set as Prisma.StripeConnectionUncheckedCreateInput),
              accountId,
              createdAt: now,
            },
          });
      const view = toView(row);
      if (key) await tryAgain(tx, accountId, now);
      await appendAudit(tx, {
        accountId,
        principalId,
        action: before ? 'update-stripe-connection' : 'create-stripe-connection',
        subject: row.stripeAccountId,
        before: before && toView(before),
        after: { ...view, hasNewKey: key !== undefined, hasNewWebhookSecret: isNewSecret },
      });
      return view;
    });
  }

  /** Forgets the key. What is at Stripe stays, and what is known of it. */
  delete({ accountId, principalId }: Scope): Promise<void> {
    return this.db.$transaction(async (tx) => {
      const before = await tx.stripeConnection.findUnique({ where: { accountId } });
      if (!before) throw new NotFound('connection', 'stripe');
      await tx.stripeConnection.deleteMany({ where: { accountId } });
      await appendAudit(tx, {
        accountId,
        principalId,
        action: 'delete-stripe-connection',
        subject: before.stripeAccountId,
        before: toView(before),
      });
    });
  }

  private unseal(accountId: string, column: SecretColumn, sealed: Uint8Array): string {
    return this.keyring.open(sealed, place(accountId, column));
  }
}

/** What failed with the key before is worth another try at once, and the pause after its refusal is over. */
async function tryAgain(tx: Prisma.TransactionClient, accountId: string, now: Date): Promise<void> {
  await tx.exchange.updateMany({
    where: { accountId, target: 'stripe', status: 'failed' },
    data: { nextAttemptAt: now },
  });
  await tx.exchangePace.deleteMany({ where: { accountId, target: 'stripe' } });
}

export const isLiveKey = (secret: string): boolean => /^(sk|rk)_live_/.test(secret);

const place = (accountId: string, column: SecretColumn) => ({
  table: TABLE,
  column,
  accountId,
  rowId: accountId,
});

function toView(row: Row): StripeConnection {
  const { stripeAccountId, isLive, keyLastFour, pushesFrom, callsPerSecond } = row;
  return {
    stripeAccountId,
    isLive,
    keyLastFour,
    hasWebhookSecret: row.sealedWebhookSecret !== null,
    pushesFrom,
    callsPerSecond,
    createdAt: row.createdAt,
    updatedAt: row.updatedAt,
  };
}
