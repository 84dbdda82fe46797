import { Injectable, Logger } from '@nestjs/common';
import { creditsOf } from '@core/billing';
import type { Scope } from '@core/identity';
import { exactMoney, isCurrency, type Decimal } from '@core/kernel';
import { BusinessClock, InvalidRequest, NotFound } from '@io/platform';
import type { StoredGrant } from './credit-rows.js';
import { CreditsService, type CreditGrantRequest } from './credits.service.js';
import { PreviewsService } from './previews.service.js';
import { WalletsRepository, type Wallet, type WalletKey } from './wallets.repository.js';

/** The repeating job that looks at wallets, and its queue. */
export const WATCH_WALLETS = 'watch-wallets';

/** How many wallets one run looks at, the longest unseen first. */
const LOOKED_AT_MAX = 500;
/** How often a wallet is looked at again because an invoice came in between. */
const ATTEMPTS_MAX = 5;
/** Who looks when no person does. */
const WORKER = 'worker';

/** Credit as it runs low: what is left is the credit less what was used and no invoice has taken yet. */
@Injectable()
export class WalletsService {
  private readonly logger = new Logger('Wallets');

  constructor(
    private readonly wallets: WalletsRepository,
    private readonly credits: CreditsService,
    private readonly previews: PreviewsService,
    private readonly clock: BusinessClock,
  ) {}

  /** Grants credit, and looks at once whether it unblocks. Throws as `CreditsService.grant`. */
  async grant(scope: Scope, customerId: string, request: CreditGrantRequest): Promise<StoredGrant> {
    const grant = await this.credits.grant(scope, customerId, request);
    const { accountId, currency } = grant;
    if (await this.wallets.find({ accountId, customerId, currency }))
      await this.look({ accountId, customerId, currency });
    return grant;
  }

  /** Says what is wanted of a customer's credit in a currency, and looks at it. */
  async set(
    scope: Scope,
    { customerId, currency }: { readonly customerId: string; readonly currency: string },
    {
      lowBalance,
      isHardStop,
    }: { readonly lowBalance: Decimal | null; readonly isHardStop: boolean },
  ): Promise<Wallet> {
    const { accountId } = scope;
    if (!isCurrency(currency)) throw new NotFound('currency', currency);
    await this.credits.balances(scope, customerId);
    const low = lowBalance && exactMoney(lowBalance, currency);
    if (lowBalance && !low) {
      const detail = `has more decimals than ${currency}`;
      throw new InvalidRequest([{ pointer: '/lowBalance', detail }]);
    }
    const key = { accountId, customerId, currency };
    await this.wallets.set(scope, key, { lowMinor: low ? low.minor : null, isHardStop });
    await this.look(key);
    return this.get(scope, key);
  }

  async get(
    scope: Scope,
    { customerId, currency }: { readonly customerId: string; readonly currency: string },
  ): Promise<Wallet> {
    const isOwn = scope.customerId === undefined || scope.customerId === customerId;
    const key = { accountId: scope.accountId, customerId, currency };
    const wallet = isOwn ? await this.wallets.find(key) : null;
    if (!wallet) throw new NotFound('wallet', `${customerId} ${currency}`);
    return wallet;
  }

  /** Looks at wallets, and returns how many it were. Runs in any number of workers; each crossing and block once. */
  async watch(): Promise<number> {
    const watched = await this.wallets.watched(LOOKED_AT_MAX);
    const failures: unknown[] = [];
    for (const key of watched) {
      try {
        await this.look(key);
      } catch (error) {
        this.logger.error(`The wallet of ${key.customerId} could not be looked at.`, error);
        failures.push(error);
      }
    }
    if (failures.length > 0) throw new AggregateError(failures, 'Wallets were not looked at.');
    return watched.length;
  }

  private async look(key: WalletKey): Promise<void> {
    for (let attempt = 1; ; attempt += 1) {
      const at = await this.clock.now(key.accountId);
      const seen = await this.wallets.unbilled(key, at);
      const spentMinor = seen.draftsMinor + (await this.openMinor(key, seen.subscriptionIds));
      if (await this.wallets.settle(key, { spentMinor, seen, at })) return;
      if (attempt === ATTEMPTS_MAX)
        throw new Error(`Invoices of ${key.customerId} change faster than they are looked at.`);
    }
  }

  /** What open periods would be charged now: before tax, and before credit. */
  private async openMinor(
    { accountId }: WalletKey,
    subscriptionIds: readonly string[],
  ): Promise<bigint> {
    let minor = 0n;
    for (const id of subscriptionIds) {
      const draft = await this.previews.dueSoFar({ accountId, principalId: WORKER }, id);
      if (!draft) continue;
      minor += draft.subtotal.minor;
      for (const credit of creditsOf(draft).values()) minor += credit;
    }
    return minor;
  }
}
