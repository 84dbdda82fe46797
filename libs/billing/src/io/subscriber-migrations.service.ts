import { Injectable } from '@nestjs/common';
import type { Scope } from '@core/identity';
import { DomainError, zeroMoney, type Money } from '@core/kernel';
import { BusinessClock, InvalidRequest, NotFound } from '@io/platform';
import { PreviewsService } from './previews.service.js';
import { RateCardsService, type ChosenVersion } from './rate-cards.service.js';
import { SubscriptionChangesRepository } from './subscription-changes.repository.js';
import { SubscriptionChangesService, type ChangeInstant } from './subscription-changes.service.js';

/** Which subscribers are to be priced by another version, and from when on. */
export interface MigrationRequest {
  readonly fromVersion: number;
  /** Its id or its name; the same card when left out. */
  readonly toRateCardId?: string;
  /** The newest when left out. */
  readonly toVersion?: number;
  readonly at: ChangeInstant;
  /** Changes nothing, and tells what the invoices would be. */
  readonly isDryRun: boolean;
  /** Subscriptions behind this id. */
  readonly after?: string;
  readonly limit: number;
}

/** What became of one subscriber, or would become. */
export interface MigratedSubscriber {
  readonly subscriptionId: string;
  readonly customerId: string;
  /** Why it keeps its version: the code of the problem, and what it says. Null when it changes. */
  readonly refusal: { readonly code: string; readonly detail: string } | null;
  /** Of a dry run: the total of the invoice of the period that the change falls into, without it and with it. */
  readonly before: Money | null;
  readonly after: Money | null;
}

/** Moves all subscribers of a version of a rate card to another one, a page at a time. */
@Injectable()
export class SubscriberMigrationsService {
  constructor(
    private readonly rateCards: RateCardsService,
    private readonly subscriptions: SubscriptionChangesRepository,
    private readonly changes: SubscriptionChangesService,
    private readonly previews: PreviewsService,
    private readonly clock: BusinessClock,
  ) {}

  /**
   * Each subscriber is changed on its own: one that is refused keeps its version and is told. What is priced by another version at some
   * time stays so then. Again, it changes nothing more. `next` is where the next page begins. Throws `NotFound` or `InvalidRequest`.
   */
  async migrate(
    scope: Scope,
    idOrName: string,
    request: MigrationRequest,
  ): Promise<{ readonly items: MigratedSubscriber[]; readonly next?: string }> {
    const { from, to } = await this.versions(scope, idOrName, request);
    const { at, isDryRun, limit, after = '' } = request;
    const of = { rateCardId: from.card.id, version: from.version.version };
    const now = await this.clock.now(scope.accountId);
    const page = { from: now, after, limit: limit + 1 };
    const found = await this.subscriptions.subscribers(scope, of, page);
    const change = {
      at,
      rateCardId: to.card.id,
      rateCardVersion: to.version.version,
      onlyOf: { rateCardId: of.rateCardId, rateCardVersion: of.version },
    };
    const items: MigratedSubscriber[] = [];
    for (const { id, customerId } of found.slice(0, limit)) {
      const who = { subscriptionId: id, customerId };
      try {
        if (isDryRun) {
          const { before, after: changed } = await this.previews.change(scope, id, change);
          const zero = zeroMoney(to.version.currency);
          const totals = { before: before?.total ?? zero, after: changed?.total ?? zero };
          items.push({ ...who, refusal: null, ...totals });
        } else {
          await this.changes.change(scope, id, change);
          items.push({ ...who, refusal: null, before: null, after: null });
        }
      } catch (error) {
        if (!(error instanceof DomainError)) throw error;
        const refusal = { code: error.code, detail: error.message };
        items.push({ ...who, refusal, before: null, after: null });
      }
    }
    const last = items.at(-1);
    return { items, ...(found.length > limit && last && { next: last.subscriptionId }) };
  }

  private async versions(
    scope: Scope,
    idOrName: string,
    { fromVersion, toRateCardId = idOrName, toVersion }: MigrationRequest,
  ): Promise<{ from: ChosenVersion; to: ChosenVersion }> {
    if (!(await this.rateCards.find(scope, idOrName))) throw new NotFound('rate card', idOrName);
    const from = await this.rateCards.findVersion(scope, idOrName, fromVersion);
    if (!from) throw refused('/fromVersion', 'is not a version of this rate card');
    const to = await this.rateCards.findVersion(scope, toRateCardId, toVersion);
    if (!to) throw refused('/toVersion', 'is not a version of a rate card of this account');
    if (to.version.currency !== from.version.currency)
      throw refused('/toRateCardId', `must be in ${from.version.currency}, as what they have`);
    if (to.card.id === from.card.id && to.version.version === from.version.version)
      throw refused('/toVersion', 'is the version that they have');
    return { from, to };
  }
}

function refused(pointer: string, detail: string): InvalidRequest {
  return new InvalidRequest([{ pointer, detail }]);
}
