import { Injectable } from '@nestjs/common';
import type { Scope } from '@core/identity';
import {
  BusinessClock,
  InvalidRequest,
  NotFound,
  Pages,
  type Page,
  type PageQuery,
} from '@io/platform';
import {
  AgreementsRepository,
  type Agreement,
  type AgreementFilter,
  type Carried,
} from './agreements.repository.js';

/** Agreements of buyers about products. */
@Injectable()
export class AgreementsService {
  constructor(
    private readonly agreements: AgreementsRepository,
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

  /** With what it carries. A customer finds only their own. */
  async get(
    scope: Scope,
    id: string,
  ): Promise<Agreement & { readonly carried: readonly Carried[] }> {
    const agreement = await this.agreements.find(scope, id);
    if (!agreement) throw new NotFound('marketplace agreement', id);
    const carried = await this.agreements.carried(scope, id, agreement.productId);
    return { ...agreement, carried };
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
