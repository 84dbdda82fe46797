import { Injectable } from '@nestjs/common';
import {
  draftInvoice,
  parseRateCardItems,
  RateCardNameTaken,
  type InvoiceDraft,
  type MeteredUsage,
} from '@core/billing';
import type { Scope } from '@core/identity';
import { AMAZON_API_GATEWAY_US_EAST_1 } from '@core/pricing';
import { InvalidRequest, NotFound, Pages, type Page, type PageQuery } from '@io/platform';
import {
  RateCardsRepository,
  type RateCardVersion,
  type StoredRateCard,
} from './rate-cards.repository.js';

/** Prices as they were sent, not yet read. */
export interface RateCardRequest {
  readonly name: string;
  readonly currency: string;
  readonly items: readonly object[];
}

/** A card and the version of it that was asked for. */
export interface ChosenVersion {
  readonly card: StoredRateCard;
  readonly version: RateCardVersion;
}

/** Rate cards: versions are added and never change. Every account has Amazon's own prices from its first use on. */
@Injectable()
export class RateCardsService {
  constructor(
    private readonly cards: RateCardsRepository,
    private readonly pages: Pages,
  ) {}

  /** Throws `InvalidRateCard` or `RateCardNameTaken`. */
  async create(scope: Scope, request: RateCardRequest): Promise<StoredRateCard> {
    const items = parseRateCardItems(request);
    if (request.name === AMAZON_API_GATEWAY_US_EAST_1.name) await this.ensureAmazonCard(scope);
    return this.cards.create(scope, { ...request, items });
  }

  /** Adds a version in the card's own currency. */
  async addVersion(
    scope: Scope,
    idOrName: string,
    items: readonly object[],
  ): Promise<StoredRateCard> {
    const { id, versions } = await this.get(scope, idOrName);
    const [{ currency }] = versions;
    const card = await this.cards.addVersion(scope, id, parseRateCardItems({ currency, items }));
    if (!card) throw new NotFound('rate card', idOrName);
    return card;
  }

  async list(scope: Scope, query: PageQuery): Promise<Page<StoredRateCard>> {
    await this.ensureAmazonCard(scope);
    const list = `rate-cards ${scope.accountId}`;
    const page = this.pages.request(query, list);
    return this.pages.page(await this.cards.page(scope, page), page, list);
  }

  /** The card of that id or name. */
  async get(scope: Scope, idOrName: string): Promise<StoredRateCard> {
    const card = await this.find(scope, idOrName);
    if (!card) throw new NotFound('rate card', idOrName);
    return card;
  }

  /** The card of that id or name, or null. */
  async find(scope: Scope, idOrName: string): Promise<StoredRateCard | null> {
    if (idOrName === AMAZON_API_GATEWAY_US_EAST_1.name) await this.ensureAmazonCard(scope);
    return this.cards.find(scope, idOrName);
  }

  /** A version of a card, the newest when none is named, or null. */
  async findVersion(
    scope: Scope,
    idOrName: string,
    version?: number,
  ): Promise<ChosenVersion | null> {
    const card = await this.find(scope, idOrName);
    const chosen = card?.versions.find((one) => version === undefined || one.version === version);
    return card && chosen ? { card, version: chosen } : null;
  }

  /** What a period with that usage would be charged: the arithmetic of invoices. Stores nothing. */
  async quote(
    scope: Scope,
    idOrName: string,
    { version, usage }: { readonly version?: number; readonly usage: readonly MeteredUsage[] },
  ): Promise<InvoiceDraft> {
    const { id, versions } = await this.get(scope, idOrName);
    const chosen = versions.find((one) => version === undefined || one.version === version);
    if (!chosen) {
      throw new InvalidRequest([
        { pointer: '/version', detail: 'is not a version of this rate card' },
      ]);
    }
    const { currency, items: prices } = chosen;
    return draftInvoice({
      subscription: { id: 'quote', customerId: 'quote', currency },
      period: { from: chosen.createdAt, to: chosen.createdAt },
      rateCard: { id, version: chosen.version, currency, prices },
      usage,
    });
  }

  /** Makes the card once; two that come at once make one. */
  private async ensureAmazonCard(scope: Scope): Promise<void> {
    const { name, currency, prices } = AMAZON_API_GATEWAY_US_EAST_1;
    if (await this.cards.find(scope, name)) return;
    const items = parseRateCardItems({ currency, items: prices });
    try {
      await this.cards.create(scope, { name, currency, items });
    } catch (error) {
      if (!(error instanceof RateCardNameTaken)) throw error;
    }
  }
}
