import { Injectable } from '@nestjs/common';
import type { Scope } from '@core/identity';
import {
  NotFound,
  Pages,
  SystemClock,
  type IfMatch,
  type Page,
  type PageQuery,
} from '@io/platform';
import { GatewaysRepository, type GatewayView } from './gateways.repository.js';
import type { TokenView } from './new-token.js';
import { TokensService, type NewToken } from './tokens.service.js';

/** Gateways: who asks for decisions and reports usage. */
@Injectable()
export class GatewaysService {
  constructor(
    private readonly gateways: GatewaysRepository,
    private readonly tokens: TokensService,
    private readonly pages: Pages,
    private readonly clock: SystemClock,
  ) {}

  create(scope: Scope, name: string): Promise<GatewayView & { readonly token: string }> {
    return this.gateways.create(scope, name);
  }

  async get(scope: Scope, id: string): Promise<GatewayView> {
    const gateway = await this.gateways.find(scope, id);
    if (!gateway) throw new NotFound('gateway', id);
    return gateway;
  }

  async list(scope: Scope, query: PageQuery): Promise<Page<GatewayView>> {
    const list = `${scope.accountId} gateways`;
    const request = this.pages.request(query, list);
    return this.pages.page(await this.gateways.list(scope, request), request, list);
  }

  update(
    scope: Scope,
    id: string,
    change: { readonly name?: string; readonly isDisabled?: boolean },
    ifMatch: IfMatch,
  ): Promise<GatewayView> {
    return this.gateways.update(scope, id, change, { ifMatch, now: this.clock.now() });
  }

  delete(scope: Scope, id: string): Promise<void> {
    return this.gateways.delete(scope, id);
  }

  async createToken(
    scope: Scope,
    gatewayId: string,
    token: NewToken,
  ): Promise<TokenView & { readonly value: string }> {
    await this.get(scope, gatewayId);
    return this.tokens.create(scope, { kind: 'gateway', gatewayId }, token);
  }
}
