import { Injectable } from '@nestjs/common';
import type { Scope } from '@core/identity';
import { NotFound, Pages, SystemClock, type Page, type PageQuery } from '@io/platform';
import {
  ExchangesRepository,
  type Exchange,
  type ExchangeAttempt,
  type ExchangeBacklog,
  type ExchangeFilter,
} from './exchanges.repository.js';

/** What remote services were told and what was heard from them: seen and settled by operators. */
@Injectable()
export class ExchangesService {
  constructor(
    private readonly exchanges: ExchangesRepository,
    private readonly pages: Pages,
    private readonly clock: SystemClock,
  ) {}

  async list(scope: Scope, filter: ExchangeFilter, query: PageQuery): Promise<Page<Exchange>> {
    const list = `exchanges ${scope.accountId} ${JSON.stringify(filter)}`;
    const page = this.pages.request(query, list);
    return this.pages.page(await this.exchanges.page(scope, filter, page), page, list);
  }

  async get(
    scope: Scope,
    id: string,
  ): Promise<{ exchange: Exchange; attempts: readonly ExchangeAttempt[] }> {
    return found(id, await this.exchanges.find(scope, id));
  }

  /** Tries one that failed or is dead again, now. Throws `ExchangeNotOpen`. */
  async retry(scope: Scope, id: string, reason: string): Promise<Exchange> {
    const settling = { reason, now: this.clock.now() };
    return found(id, await this.exchanges.retry(scope, id, settling));
  }

  /** Ends one that was settled elsewhere. Throws `ExchangeNotOpen`. */
  async resolve(scope: Scope, id: string, reason: string): Promise<Exchange> {
    const settling = { reason, now: this.clock.now() };
    return found(id, await this.exchanges.resolve(scope, id, settling));
  }

  /** What is open, over all accounts. */
  backlog(): Promise<ExchangeBacklog[]> {
    return this.exchanges.backlog();
  }
}

function found<T>(id: string, one: T | null): T {
  if (one === null) throw new NotFound('exchange', id);
  return one;
}
