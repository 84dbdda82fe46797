import { Injectable } from '@nestjs/common';
import type { Scope } from '@core/identity';
import {
  InvalidRequest,
  NotFound,
  Pages,
  SystemClock,
  type Given,
  type IfMatch,
  type Page,
  type PageQuery,
} from '@io/platform';
import { IssuersRepository, type Issuer, type IssuerTerms } from './issuers.repository.js';

/** Companies in whose name an account issues invoices. */
@Injectable()
export class IssuersService {
  constructor(
    private readonly issuers: IssuersRepository,
    private readonly pages: Pages,
    private readonly clock: SystemClock,
  ) {}

  /** Throws `InvalidRequest` for a series that is the account's or of credit notes, or `SeriesTaken`. */
  async create(scope: Scope, issuer: IssuerTerms & { series: string }): Promise<Issuer> {
    if (issuer.series === 'TG' || issuer.series.endsWith('CN')) {
      const detail = 'must not be TG, nor end with CN: those number the account and credit notes';
      throw new InvalidRequest([{ pointer: '/series', detail }]);
    }
    return this.issuers.create(scope, issuer);
  }

  async list(scope: Scope, query: PageQuery): Promise<Page<Issuer>> {
    const list = `issuers ${scope.accountId}`;
    const page = this.pages.request(query, list);
    return this.pages.page(await this.issuers.page(scope, page), page, list);
  }

  async get(scope: Scope, id: string): Promise<Issuer> {
    const issuer = await this.issuers.find(scope, id);
    if (!issuer) throw new NotFound('issuer', id);
    return issuer;
  }

  update(
    scope: Scope,
    id: string,
    change: Given<Partial<IssuerTerms>>,
    ifMatch: IfMatch,
  ): Promise<Issuer> {
    return this.issuers.update(scope, id, change, { ifMatch, now: this.clock.now() });
  }
}
