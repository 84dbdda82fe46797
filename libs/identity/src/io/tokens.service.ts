import { Injectable } from '@nestjs/common';
import { mayGrant, type OperatorPrincipal, type Role, type Scope } from '@core/identity';
import {
  InvalidRequest,
  NotFound,
  Pages,
  SystemClock,
  type Page,
  type PageQuery,
} from '@io/platform';
import { RoleNotGrantable } from './errors.js';
import type { TokenGrant, TokenView } from './new-token.js';
import { TokensRepository } from './tokens.repository.js';

/** What a new token is called, and its end if it has one. */
export interface NewToken {
  readonly name: string;
  readonly expiresAt: Date | null;
}

/** Bearer tokens of operators, gateways and customers. */
@Injectable()
export class TokensService {
  constructor(
    private readonly tokens: TokensRepository,
    private readonly pages: Pages,
    private readonly clock: SystemClock,
  ) {}

  /** Makes a token; its value is answered once and never kept. */
  async create(
    scope: Scope,
    grant: TokenGrant,
    token: NewToken,
  ): Promise<TokenView & { readonly value: string }> {
    if (token.expiresAt && token.expiresAt <= this.clock.now()) {
      throw new InvalidRequest([{ pointer: '/expiresAt', detail: 'must be in the future' }]);
    }
    return this.tokens.create(scope, grant, token);
  }

  /** Makes a token of an operator, with a role that allows no more than the maker's own. */
  async createOperator(
    scope: Scope,
    maker: Role,
    { role, ...token }: NewToken & { readonly role: Role },
  ): Promise<TokenView & { readonly value: string }> {
    if (!mayGrant(maker, role)) throw new RoleNotGrantable(role);
    return this.create(scope, { kind: 'operator', role }, token);
  }

  async list(
    scope: Scope,
    query: PageQuery & { readonly kind?: string },
  ): Promise<Page<TokenView>> {
    const { kind } = query;
    const list = `${scope.accountId} tokens ${kind ?? ''}`;
    const request = this.pages.request(query, list);
    const tokens = await this.tokens.list(scope, kind === undefined ? {} : { kind }, request);
    return this.pages.page(tokens, request, list);
  }

  /** Revokes a token for good. Refused for the account's last owner, and for roles above the caller's own. */
  async revoke(scope: Scope, revoker: OperatorPrincipal['role'], id: string): Promise<void> {
    const token = await this.tokens.find(scope, id);
    if (!token) throw new NotFound('token', id);
    if (token.role !== null && !mayGrant(revoker, token.role)) {
      throw new RoleNotGrantable(token.role);
    }
    await this.tokens.revoke(scope, id, this.clock.now());
  }
}
