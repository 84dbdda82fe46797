import { Injectable, Logger } from '@nestjs/common';
import { creditedDraft, type CreditKind, type TaxedDraft } from '@core/billing';
import type { Scope } from '@core/identity';
import { exactMoney, type Decimal, type FieldFault } from '@core/kernel';
import {
  BusinessClock,
  InvalidRequest,
  NotFound,
  Pages,
  SystemClock,
  type Page,
  type PageQuery,
} from '@io/platform';
import {
  CreditGrantsRepository,
  type CreditBalance,
  type CreditEntryFilter,
  type VoidTo,
} from './credit-grants.repository.js';
import type { CreditEntry, StoredGrant } from './credit-rows.js';
import type { Subscription } from './subscriptions.repository.js';

/** A grant as it was asked for; what is left out is decided here. */
export interface CreditGrantRequest {
  readonly kind: CreditKind;
  readonly name: string;
  /** In major units. */
  readonly amount: Decimal;
  /** The customer's own when left out. */
  readonly currency?: string;
  readonly priority?: number;
  readonly meters?: readonly string[];
  readonly usagePlanIds?: readonly string[];
  /** Now when left out. */
  readonly effectiveAt?: Date;
  /** Never when left out. */
  readonly expiresAt?: Date;
  readonly reference: string;
}

/** The repeating job that ends grants, and its queue. */
export const EXPIRE_CREDITS = 'expire-credits';

const PRIORITY = 50;
const MINOR_MAX = 10n ** 17n;
const EXPIRED_MAX = 500;

/** What customers paid ahead or were given, and what became of it. */
@Injectable()
export class CreditsService {
  private readonly logger = new Logger('Credits');

  constructor(
    private readonly grants: CreditGrantsRepository,
    private readonly clock: BusinessClock,
    private readonly systemClock: SystemClock,
    private readonly pages: Pages,
  ) {}

  /** Throws `InvalidRequest` naming what is wrong, or `CreditReferenceTaken`. */
  async grant(scope: Scope, customerId: string, request: CreditGrantRequest): Promise<StoredGrant> {
    const { kind, name, reference, priority = PRIORITY, meters = [], usagePlanIds = [] } = request;
    const { customer, usagePlanIds: unknown } = await this.grants.missing(scope, {
      customerId,
      usagePlanIds,
    });
    if (!customer) throw new NotFound('customer', customerId);
    const now = await this.clock.now(scope.accountId);
    const { effectiveAt = now, expiresAt = null, currency = customer.currency } = request;
    const amount = exactMoney(request.amount, currency);
    const faults: FieldFault[] = unknown.map((id) => ({
      pointer: `/usagePlanIds/${usagePlanIds.indexOf(id)}`,
      detail: 'is not a usage plan of this account',
    }));
    if (!amount) faults.push({ pointer: '/amount', detail: `has more decimals than ${currency}` });
    else if (amount.minor <= 0n || amount.minor > MINOR_MAX)
      faults.push({
        pointer: '/amount',
        detail: 'must be more than 0, and an amount that is paid',
      });
    if (expiresAt && expiresAt <= (effectiveAt > now ? effectiveAt : now))
      faults.push({ pointer: '/expiresAt', detail: 'must be after effectiveAt, and after now' });
    if (faults.length > 0 || !amount) throw new InvalidRequest(faults);
    const terms = { customerId, kind, name, reference, priority, meters, usagePlanIds };
    const grant = { ...terms, currency, amountMinor: amount.minor, effectiveAt, expiresAt };
    return this.grants.create(scope, grant, now);
  }

  /** Takes back what is left of a grant, to the customer's credit or to them where it was paid. */
  async void(
    scope: Scope,
    id: string,
    { reason, restTo = 'customer-credit' }: { reason: string; restTo?: VoidTo },
  ): Promise<StoredGrant> {
    const at = await this.clock.now(scope.accountId);
    return found(id, await this.grants.void(scope, id, { reason, restTo, at }));
  }

  async get(scope: Scope, id: string): Promise<StoredGrant> {
    return found(id, await this.grants.find(scope, id));
  }

  async list(
    scope: Scope,
    filter: { readonly customerId?: string },
    query: PageQuery,
  ): Promise<Page<StoredGrant>> {
    const list = `credit-grants ${scope.accountId} ${scope.customerId ?? ''} ${JSON.stringify(filter)}`;
    const page = this.pages.request(query, list);
    return this.pages.page(await this.grants.page(scope, filter, page), page, list);
  }

  async entries(
    scope: Scope,
    filter: CreditEntryFilter,
    query: PageQuery,
  ): Promise<Page<CreditEntry>> {
    const list = `credit-entries ${scope.accountId} ${scope.customerId ?? ''} ${JSON.stringify(filter)}`;
    const page = this.pages.request(query, list);
    return this.pages.page(await this.grants.entries(scope, filter, page), page, list);
  }

  /** What a customer can pay with, by currency. Customers may ask for their own. */
  async balances(scope: Scope, customerId: string): Promise<CreditBalance[]> {
    const isOwn = scope.customerId === undefined || scope.customerId === customerId;
    const at = await this.clock.now(scope.accountId);
    const balances = isOwn ? await this.grants.balances(scope, customerId, at) : null;
    if (!balances) throw new NotFound('customer', customerId);
    return balances;
  }

  /** A draft as it would be if it became final now. Stores nothing. */
  async previewed(
    { accountId, usagePlanId }: Subscription,
    draft: TaxedDraft,
  ): Promise<TaxedDraft> {
    const { customerId, currency } = draft;
    const grants = await this.grants.open({ accountId, customerId, currency });
    if (grants.length === 0) return draft;
    const at = await this.clock.now(accountId);
    return creditedDraft(draft, grants, { usagePlanId, at });
  }

  /** Ends every grant whose time is over by its account's clock, and returns how many it were. Runs in any number of workers. */
  async expireDue(): Promise<number> {
    const due = await this.grants.expired(this.systemClock.now(), EXPIRED_MAX);
    let expired = 0;
    const failures: unknown[] = [];
    for (const grant of due) {
      try {
        const at = await this.clock.now(grant.accountId);
        if (await this.grants.expire(grant, at)) expired += 1;
      } catch (error) {
        this.logger.error(`The credit ${grant.id} could not be ended.`, error);
        failures.push(error);
      }
    }
    if (failures.length > 0) throw new AggregateError(failures, 'Credit could not be ended.');
    return expired;
  }
}

function found(id: string, grant: StoredGrant | null): StoredGrant {
  if (!grant) throw new NotFound('credit grant', id);
  return grant;
}
