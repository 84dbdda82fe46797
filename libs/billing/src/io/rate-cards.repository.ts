import { randomBytes } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import { parseRateCardItems, RateCardNameTaken, type PriceItem } from '@core/billing';
import type { Scope } from '@core/identity';
import { prefixedId } from '@core/kernel';
import {
  appendAudit,
  Database,
  isUniqueViolation,
  pageArguments,
  type PageRequest,
} from '@io/platform';
import { storedList } from './json.js';

/** One version of a rate card; it never changes. */
export interface RateCardVersion {
  readonly version: number;
  readonly currency: string;
  readonly items: readonly PriceItem[];
  readonly createdAt: Date;
}

/** A rate card with all its versions, the newest first. */
export interface StoredRateCard {
  readonly id: string;
  readonly name: string;
  readonly createdAt: Date;
  readonly versions: readonly [RateCardVersion, ...RateCardVersion[]];
}

/** What a new rate card says. */
export interface NewRateCard {
  readonly name: string;
  readonly currency: string;
  readonly items: readonly PriceItem[];
}

interface VersionRow {
  readonly version: number;
  readonly currency: string;
  readonly items: unknown;
  readonly createdAt: Date;
}

const VERSIONS = { orderBy: { version: 'desc' as const } };

@Injectable()
export class RateCardsRepository {
  constructor(private readonly db: Database) {}

  /** Stores a card with version 1. Throws `RateCardNameTaken`. */
  async create(scope: Scope, { name, currency, items }: NewRateCard): Promise<StoredRateCard> {
    const id = prefixedId('rc', randomBytes);
    const { accountId, principalId } = scope;
    try {
      await this.db.$transaction(async (tx) => {
        await tx.rateCard.create({ data: { id, accountId, name } });
        await tx.rateCardVersion.create({
          data: { rateCardId: id, accountId, version: 1, currency, items: storedList(items) },
        });
        const after = { name, currency, version: 1, items };
        await appendAudit(tx, {
          accountId,
          principalId,
          action: 'create-rate-card',
          subject: id,
          after,
        });
      });
    } catch (error) {
      if (isUniqueViolation(error)) throw new RateCardNameTaken(name);
      throw error;
    }
    return this.one(scope, id);
  }

  /** Adds the next version, in the card's currency. Null when there is no such card. */
  async addVersion(
    scope: Scope,
    id: string,
    items: readonly PriceItem[],
  ): Promise<StoredRateCard | null> {
    const { accountId, principalId } = scope;
    const isAdded = await this.db.$transaction(async (tx) => {
      // The lock on the card orders two versions that come at once.
      await tx.$queryRaw`SELECT FROM rate_card WHERE account_id = ${accountId} AND id = ${id} FOR UPDATE`;
      const last = await tx.rateCardVersion.findFirst({
        where: { accountId, rateCardId: id },
        ...VERSIONS,
      });
      if (!last) return false;
      const version = last.version + 1;
      await tx.rateCardVersion.create({
        data: {
          rateCardId: id,
          accountId,
          version,
          currency: last.currency,
          items: storedList(items),
        },
      });
      const change = { before: { version: last.version }, after: { version, items } };
      await appendAudit(tx, {
        accountId,
        principalId,
        action: 'add-rate-card-version',
        subject: id,
        ...change,
      });
      return true;
    });
    return isAdded ? this.one(scope, id) : null;
  }

  /** The card of that id, else of that name. */
  async find({ accountId }: Scope, idOrName: string): Promise<StoredRateCard | null> {
    const cards = await this.db.rateCard.findMany({
      where: { accountId, OR: [{ id: idOrName }, { name: idOrName }] },
    });
    const card = cards.find(({ id }) => id === idOrName) ?? cards[0];
    return card ? this.withVersions(card) : null;
  }

  async page({ accountId }: Scope, page: PageRequest): Promise<StoredRateCard[]> {
    const { where, ...rest } = pageArguments(page);
    const cards = await this.db.rateCard.findMany({ where: { accountId, ...where }, ...rest });
    const versions = await this.db.rateCardVersion.findMany({
      where: { accountId, rateCardId: { in: cards.map(({ id }) => id) } },
      ...VERSIONS,
    });
    return cards.map((card) =>
      toStored(
        card,
        versions.filter(({ rateCardId }) => rateCardId === card.id),
      ),
    );
  }

  private async one({ accountId }: Scope, id: string): Promise<StoredRateCard> {
    return this.withVersions(
      await this.db.rateCard.findUniqueOrThrow({ where: { accountId, id } }),
    );
  }

  private async withVersions(card: {
    id: string;
    name: string;
    createdAt: Date;
    accountId: string;
  }) {
    const where = { accountId: card.accountId, rateCardId: card.id };
    return toStored(card, await this.db.rateCardVersion.findMany({ where, ...VERSIONS }));
  }
}

function toStored(
  { id, name, createdAt }: { id: string; name: string; createdAt: Date },
  rows: readonly VersionRow[],
): StoredRateCard {
  const [newest, ...older] = rows.map(toVersion);
  if (!newest) throw new Error(`The rate card ${id} has no version.`);
  return { id, name, createdAt, versions: [newest, ...older] };
}

function toVersion({ version, currency, items, createdAt }: VersionRow): RateCardVersion {
  const list = items as readonly object[];
  return { version, currency, items: parseRateCardItems({ currency, items: list }), createdAt };
}
