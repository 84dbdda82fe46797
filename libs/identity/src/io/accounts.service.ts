import { Injectable } from '@nestjs/common';
import type { Scope } from '@core/identity';
import {
  Pages,
  SystemClock,
  type Given,
  type IfMatch,
  type Page,
  type PageQuery,
} from '@io/platform';
import {
  AccountsRepository,
  type AccountSettings,
  type AccountView,
} from './accounts.repository.js';
import { NotDefaultAccount } from './errors.js';

/** The caller's own account, and for owners of the default account all others. */
@Injectable()
export class AccountsService {
  constructor(
    private readonly accounts: AccountsRepository,
    private readonly pages: Pages,
    private readonly clock: SystemClock,
  ) {}

  /** The caller's own. */
  get(scope: Scope): Promise<AccountView> {
    return this.accounts.find(scope);
  }

  /** Changes the caller's own. */
  update(
    scope: Scope,
    change: Given<Partial<AccountSettings>>,
    ifMatch: IfMatch,
  ): Promise<AccountView> {
    return this.accounts.update(scope, change, { ifMatch, now: this.clock.now() });
  }

  async create(
    scope: Scope,
    account: { readonly name: string; readonly mode: string },
  ): Promise<AccountView & { readonly token: string }> {
    await this.requireDefault(scope);
    return this.accounts.create(scope, account);
  }

  async list(scope: Scope, query: PageQuery): Promise<Page<AccountView>> {
    await this.requireDefault(scope);
    const list = `${scope.accountId} accounts`;
    const request = this.pages.request(query, list);
    return this.pages.page(await this.accounts.listAll(request), request, list);
  }

  private async requireDefault(scope: Scope): Promise<void> {
    const { isDefault } = await this.accounts.find(scope);
    if (!isDefault) throw new NotDefaultAccount();
  }
}
