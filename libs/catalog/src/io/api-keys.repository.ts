import { randomBytes } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import { shortId } from '@core/kernel';
import type { Scope } from '@core/identity';
import type { IpLists } from '@core/limits';
import {
  appendAudit,
  checkVersion,
  Database,
  InvalidRequest,
  isReferenceViolation,
  isUniqueViolation,
  Keyring,
  nextVersion,
  NotFound,
  pageArguments,
  type Prisma,
  type IfMatch,
  type PageRequest,
} from '@io/platform';
import { lastFour, newApiKeyValue } from '@core/kernel';
import { ApiKeyExists } from './errors.js';
import { ipPolicyColumn } from './ip-lists.js';
import { lockKey } from './locks.js';

/** What a person decides about a key. */
export interface ApiKeySettings {
  readonly name: string | null;
  readonly description: string | null;
  readonly enabled: boolean;
  readonly expiresAt: Date | null;
  readonly ipPolicy: IpLists | null;
}

/** A key as it is shown; its value only where it is asked for. */
export interface ApiKeyView extends ApiKeySettings {
  readonly id: string;
  readonly customerId: string;
  readonly lastFour: string;
  readonly createdAt: Date;
  readonly updatedAt: Date;
}

const VIEW = {
  id: true,
  customerId: true,
  name: true,
  description: true,
  enabled: true,
  expiresAt: true,
  ipPolicy: true,
  lastFour: true,
  createdAt: true,
  updatedAt: true,
} as const;

type Row = Prisma.ApiKeyGetPayload<{ select: typeof VIEW }>;

/** The table of api keys: keyed hashes of their values, and sealed copies where the account keeps them. */
@Injectable()
export class ApiKeysRepository {
  constructor(
    private readonly db: Database,
    private readonly keyring: Keyring,
  ) {}

  /** Makes a key, with a value of the account's mode unless one is given. The value is answered once. */
  async create(
    scope: Scope,
    { customerId, ipPolicy, ...settings }: ApiKeySettings & { readonly customerId: string },
    givenValue: string | null,
  ): Promise<ApiKeyView & { readonly value: string }> {
    const { accountId } = scope;
    const id = shortId(10, randomBytes);
    try {
      return await this.db.$transaction(async (tx) => {
        const account = await tx.account.findUniqueOrThrow({ where: { id: accountId } });
        const mode = account.mode === 'live' ? 'live' : 'test';
        const value = givenValue ?? newApiKeyValue(mode, randomBytes);
        await this.refuseKnown(tx, value);
        const row = await tx.apiKey.create({
          data: {
            id,
            accountId,
            customerId,
            ...settings,
            ipPolicy: ipPolicyColumn(ipPolicy),
            ...this.storedForms(value, { accountId, id, isKept: account.keepsKeyValues }),
          },
          select: VIEW,
        });
        const created = toView(row);
        await appendAudit(tx, { ...scope, action: 'create-api-key', subject: id, after: created });
        return { ...created, value };
      });
    } catch (error) {
      if (isUniqueViolation(error, 'hash')) throw new ApiKeyExists();
      if (isReferenceViolation(error)) {
        throw new InvalidRequest([
          { pointer: '/customerId', detail: `is no customer: "${customerId}"` },
        ]);
      }
      throw error;
    }
  }

  async find(scope: Scope, id: string): Promise<ApiKeyView | null> {
    const row = await this.db.apiKey.findFirst({
      where: { id, deletedAt: null, ...ownRows(scope) },
      select: VIEW,
    });
    return row && toView(row);
  }

  /** The value of a key; null where the account kept none when the key was made. */
  async value({ accountId }: Scope, id: string): Promise<string | null> {
    const row = await this.db.apiKey.findFirst({
      where: { accountId, id, deletedAt: null },
      select: { sealed: true },
    });
    return row?.sealed ? this.keyring.open(row.sealed, place(accountId, id)) : null;
  }

  /** A page of keys, of one customer and with names that start so, where that is asked for. */
  async list(
    scope: Scope,
    filter: { readonly customerId?: string; readonly namePrefix?: string },
    request: PageRequest,
  ): Promise<ApiKeyView[]> {
    const { where, ...page } = pageArguments(request);
    const { customerId, namePrefix } = filter;
    const rows = await this.db.apiKey.findMany({
      where: {
        deletedAt: null,
        AND: [ownRows(scope), where, customerId === undefined ? {} : { customerId }],
        ...(namePrefix === undefined ? {} : { name: { startsWith: likeText(namePrefix) } }),
      },
      ...page,
      select: VIEW,
    });
    return rows.map(toView);
  }

  update(
    scope: Scope,
    id: string,
    { ipPolicy, ...change }: Partial<ApiKeySettings>,
    { ifMatch, now }: { ifMatch: IfMatch; now: Date },
  ): Promise<ApiKeyView> {
    const { accountId } = scope;
    const where = { accountId_id: { accountId, id } };
    return this.db.$transaction(async (tx) => {
      const row = await lockKey(tx, accountId, id);
      if (!row) throw new NotFound('api key', id);
      checkVersion(ifMatch, row);
      const before = toView(await tx.apiKey.findUniqueOrThrow({ where, select: VIEW }));
      const after = toView(
        await tx.apiKey.update({
          where,
          data: {
            ...change,
            ...(ipPolicy === undefined ? {} : { ipPolicy: ipPolicyColumn(ipPolicy) }),
            updatedAt: nextVersion(row, now),
          },
          select: VIEW,
        }),
      );
      await appendAudit(tx, { ...scope, action: 'update-api-key', subject: id, before, after });
      return after;
    });
  }

  /**
   * Gives a key another value. The one before, and those before that whose overlap is not over, pass until `until` at
   * the latest. Everything else of the key stays: its id, its plans, what it has spent. The value is answered once.
   */
  async rotate(
    scope: Scope,
    id: string,
    { givenValue, until, now }: { givenValue: string | null; until: Date; now: Date },
  ): Promise<ApiKeyView & { readonly value: string }> {
    const { accountId } = scope;
    const where = { accountId_id: { accountId, id } };
    try {
      return await this.db.$transaction(async (tx) => {
        const row = await lockKey(tx, accountId, id);
        if (!row) throw new NotFound('api key', id);
        const account = await tx.account.findUniqueOrThrow({ where: { id: accountId } });
        const mode = account.mode === 'live' ? 'live' : 'test';
        const value = givenValue ?? newApiKeyValue(mode, randomBytes);
        await this.refuseKnown(tx, value);
        const { hash, ...last } = await tx.apiKey.findUniqueOrThrow({
          where,
          select: { ...VIEW, hash: true },
        });
        await tx.apiKeyPastValue.updateMany({
          where: { accountId, keyId: id, expiresAt: { gt: until } },
          data: { expiresAt: until },
        });
        await tx.apiKeyPastValue.create({
          data: { hash, accountId, keyId: id, lastFour: last.lastFour, expiresAt: until },
        });
        const after = await tx.apiKey.update({
          where,
          data: {
            ...this.storedForms(value, { accountId, id, isKept: account.keepsKeyValues }),
            updatedAt: nextVersion(row, now),
          },
          select: VIEW,
        });
        const [before, rotated] = [toView(last), toView(after)];
        await appendAudit(tx, {
          ...scope,
          action: 'rotate-api-key',
          subject: id,
          before,
          after: { ...rotated, previousExpiresAt: until },
        });
        return { ...rotated, value };
      });
    } catch (error) {
      if (isUniqueViolation(error, 'hash')) throw new ApiKeyExists();
      throw error;
    }
  }

  /** Refuses a value that a key has or had. The present ones are looked at first, since a rotation moves one to the past. */
  private async refuseKnown(tx: Prisma.TransactionClient, value: string): Promise<void> {
    const hashes = this.keyring.hashes('key-pepper', value).map((hash) => Uint8Array.from(hash));
    const where = { hash: { in: hashes } };
    const known = (await tx.apiKey.count({ where })) || (await tx.apiKeyPastValue.count({ where }));
    if (known > 0) throw new ApiKeyExists();
  }

  /** A value as the table has it: its keyed hash, its end, and sealed where the account keeps it. */
  private storedForms(
    value: string,
    { accountId, id, isKept }: { accountId: string; id: string; isKept: boolean },
  ) {
    return {
      hash: Uint8Array.from(this.keyring.hash('key-pepper', value)),
      pepperId: this.keyring.currentId,
      lastFour: lastFour(value),
      sealed: isKept ? this.keyring.seal(value, place(accountId, id)) : null,
    };
  }

  /**
   * Deletes a key: it leaves its plans and its sealed copy is erased. Its row and hash stay, since usage names it and
   * its value must never be given out again.
   */
  delete(scope: Scope, id: string, now: Date): Promise<void> {
    const { accountId } = scope;
    const where = { accountId_id: { accountId, id } };
    return this.db.$transaction(async (tx) => {
      const row = await lockKey(tx, accountId, id);
      if (!row) throw new NotFound('api key', id);
      const before = toView(await tx.apiKey.findUniqueOrThrow({ where, select: VIEW }));
      await tx.usagePlanKey.deleteMany({ where: { accountId, keyId: id } });
      await tx.apiKey.update({
        where,
        data: { deletedAt: now, enabled: false, sealed: null, updatedAt: nextVersion(row, now) },
      });
      await appendAudit(tx, { ...scope, action: 'delete-api-key', subject: id, before });
    });
  }
}

function ownRows({ accountId, customerId }: Scope) {
  return customerId === undefined ? { accountId } : { accountId, customerId };
}

const place = (accountId: string, rowId: string) => ({
  table: 'api_key',
  column: 'sealed',
  accountId,
  rowId,
});

/** A text for LIKE, with what LIKE would read as a pattern taken literally. */
function likeText(text: string): string {
  return text.replaceAll(/[\\%_]/g, String.raw`\$&`);
}

function toView({ ipPolicy, ...row }: Row): ApiKeyView {
  return { ...row, ipPolicy: ipPolicy as IpLists | null };
}
