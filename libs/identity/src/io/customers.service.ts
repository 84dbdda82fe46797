import { Injectable } from '@nestjs/common';
import type { Scope } from '@core/identity';
import {
  NotFound,
  Pages,
  SystemClock,
  type Given,
  type IfMatch,
  type Page,
  type PageQuery,
} from '@io/platform';
import {
  CustomersRepository,
  type CustomerSettings,
  type CustomerView,
} from './customers.repository.js';
import type { TokenView } from './new-token.js';
import { TokensService, type NewToken } from './tokens.service.js';

/** A new customer; what is left out gets a default. */
export type NewCustomer = Partial<CustomerSettings> & { readonly name: string };

/** Customers: who pays. */
@Injectable()
export class CustomersService {
  constructor(
    private readonly customers: CustomersRepository,
    private readonly tokens: TokensService,
    private readonly pages: Pages,
    private readonly clock: SystemClock,
  ) {}

  create(scope: Scope, customer: Given<NewCustomer>): Promise<CustomerView> {
    const none = { email: null, legalName: null, address: null, taxId: null };
    const usual = { currency: 'USD', timezone: 'UTC', netTermsDays: null };
    return this.customers.create(scope, { ...none, ...usual, ...customer });
  }

  async get(scope: Scope, id: string): Promise<CustomerView> {
    const customer = await this.customers.find(scope, id);
    if (!customer) throw new NotFound('customer', id);
    return customer;
  }

  async list(scope: Scope, query: PageQuery): Promise<Page<CustomerView>> {
    const list = `${scope.accountId} customers`;
    const request = this.pages.request(query, list);
    return this.pages.page(await this.customers.list(scope, request), request, list);
  }

  update(
    scope: Scope,
    id: string,
    change: Given<Partial<CustomerSettings>>,
    ifMatch: IfMatch,
  ): Promise<CustomerView> {
    return this.customers.update(scope, id, change, { ifMatch, now: this.clock.now() });
  }

  delete(scope: Scope, id: string): Promise<void> {
    return this.customers.delete(scope, id);
  }

  /** A token with which the customer sees their own data. */
  async createToken(
    scope: Scope,
    customerId: string,
    token: NewToken,
  ): Promise<TokenView & { readonly value: string }> {
    await this.get(scope, customerId);
    return this.tokens.create(scope, { kind: 'customer', customerId }, token);
  }
}
