import { Injectable } from '@nestjs/common';
import type { Scope } from '@core/identity';
import { isLive, type Entitlement } from '@core/marketplace';
import {
  BusinessClock,
  InvalidRequest,
  NotFound,
  Pages,
  type Page,
  type PageQuery,
} from '@io/platform';
import { EntitlementsRepository } from './entitlements.repository.js';
import {
  AgreementsRepository,
  type Agreement,
  type AgreementFilter,
  type Carried,
} from './agreements.repository.js';

/** An agreement with what it carries and what was bought. */
export interface AgreementDetail extends Agreement {
  readonly carried: readonly Carried[];
  readonly entitlements: readonly (Pick<Entitlement, 'dimension' | 'value' | 'expiresAt'> & {
    readonly isLive: boolean;
  })[];
}

/** Agreements of buyers about products. */
@Injectable()
export class AgreementsService {
  constructor(
    private readonly agreements: AgreementsRepository,
    private readonly entitlements: EntitlementsRepository,
    private readonly pages: Pages,
    private readonly clock: BusinessClock,
  ) {}

  /** Notes an agreement by hand, as one that began before this service did. */
  async create(
    scope: Scope,
    {
      isActive,
      ...agreement
    }: Omit<Parameters<AgreementsRepository['create']>[1], 'activeAt'> & {
      readonly isActive: boolean;
    },
  ): Promise<Agreement> {
    const { customerIdentifier, customerAwsAccountId, licenseArn } = agreement;
    const isOne = (customerIdentifier === null) !== (customerAwsAccountId === null);
    if (!isOne || (licenseArn !== null && customerAwsAccountId === null)) {
      const detail =
        'needs a customerIdentifier, or a customerAwsAccountId with or without a licenseArn';
      throw new InvalidRequest([{ pointer: '/customerIdentifier', detail }]);
    }
    const activeAt = isActive ? await this.clock.now(scope.accountId) : null;
    return this.agreements.create(scope, { ...agreement, activeAt });
  }

  async list(scope: Scope, filter: AgreementFilter, query: PageQuery): Promise<Page<Agreement>> {
    const list = `marketplace-agreements ${scope.accountId} ${scope.customerId} ${JSON.stringify(filter)}`;
    const request = this.pages.request(query, list);
    return this.pages.page(await this.agreements.list(scope, filter, request), request, list);
  }

  /** With what it carries, and what was bought. A customer finds only their own. */
  async get(scope: Scope, id: string): Promise<AgreementDetail> {
    const agreement = await this.agreements.find(scope, id);
    if (!agreement) throw new NotFound('marketplace agreement', id);
    const carried = await this.agreements.carried(scope, id, agreement.productId);
    const now = await this.clock.now(scope.accountId);
    const bought = await this.entitlements.list(scope, id);
    const entitlements = bought.map((one) => ({
      dimension: one.dimension,
      value: one.value,
      expiresAt: one.expiresAt,
      isLive: isLive(one, now),
    }));
    return { ...agreement, carried, entitlements };
  }

  /** Throws `AgreementTaken`. */
  async assign(
    scope: Scope,
    id: string,
    change: { readonly customerId?: string; readonly keyIds?: readonly string[] },
  ): Promise<Agreement> {
    const at = await this.clock.now(scope.accountId);
    const { customerId, keyIds } = change;
    return this.agreements.assign(scope, id, { customerId, keyIds, at });
  }
}
