import { randomBytes } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import { prefixedId } from '@core/kernel';
import type { Scope } from '@core/identity';
import {
  appendAudit,
  checkVersion,
  Database,
  Keyring,
  nextVersion,
  NotFound,
  pageArguments,
  type IfMatch,
  type PageRequest,
  type Prisma,
} from '@io/platform';
import { newTokenValue, tokenRow } from './new-token.js';

/** What a person decides about their account. */
export interface AccountSettings {
  readonly name: string;
  readonly throttle: { readonly rateLimit: number; readonly burstLimit: number };
  readonly keepsKeyValues: boolean;
  readonly legalName: string | null;
  readonly address: string | null;
  readonly taxId: string | null;
}

/** An account as it is shown. */
export interface AccountView extends AccountSettings {
  readonly id: string;
  readonly mode: string;
  readonly isDefault: boolean;
  readonly createdAt: Date;
  readonly updatedAt: Date;
}

const VIEW = {
  id: true,
  name: true,
  mode: true,
  isDefault: true,
  rateLimit: true,
  burstLimit: true,
  keepsKeyValues: true,
  legalName: true,
  address: true,
  taxId: true,
  createdAt: true,
  updatedAt: true,
} as const;

/** The table of accounts. */
@Injectable()
export class AccountsRepository {
  constructor(
    private readonly db: Database,
    private readonly keyring: Keyring,
  ) {}

  /** Makes an account and its first owner token, whose value is answered once. */
  create(
    scope: Scope,
    { name, mode }: { readonly name: string; readonly mode: string },
  ): Promise<AccountView & { readonly token: string }> {
    const id = prefixedId('acc', randomBytes);
    const grant = { kind: 'operator', role: 'owner' } as const;
    const value = newTokenValue(grant);
    return this.db.$transaction(async (tx) => {
      const row = await tx.account.create({ data: { id, name, mode }, select: VIEW });
      const token = tokenRow(this.keyring, id, grant, {
        value,
        name: 'first owner',
        expiresAt: null,
      });
      await tx.token.create({ data: token });
      const after = toView(row);
      await appendAudit(tx, { ...scope, action: 'create-account', subject: id, after });
      return { ...after, token: value };
    });
  }

  async find({ accountId }: Scope): Promise<AccountView> {
    return toView(
      await this.db.account.findUniqueOrThrow({ where: { id: accountId }, select: VIEW }),
    );
  }

  /** A page of all accounts of the installation; who may see them is the service's to check. */
  async listAll(request: PageRequest): Promise<AccountView[]> {
    const rows = await this.db.account.findMany({ ...pageArguments(request), select: VIEW });
    return rows.map(toView);
  }

  update(
    scope: Scope,
    { throttle, ...change }: Partial<AccountSettings>,
    { ifMatch, now }: { ifMatch: IfMatch; now: Date },
  ): Promise<AccountView> {
    const { accountId: id } = scope;
    return this.db.$transaction(async (tx) => {
      await tx.$queryRaw`SELECT id FROM account WHERE id = ${id} FOR NO KEY UPDATE`;
      const before = await tx.account.findUnique({ where: { id }, select: VIEW });
      if (!before) throw new NotFound('account', id);
      checkVersion(ifMatch, before);
      const after = await tx.account.update({
        where: { id },
        data: {
          ...change,
          ...(throttle === undefined
            ? {}
            : { rateLimit: throttle.rateLimit, burstLimit: throttle.burstLimit }),
          updatedAt: nextVersion(before, now),
        },
        select: VIEW,
      });
      await appendAudit(tx, {
        ...scope,
        action: 'update-account',
        subject: id,
        before: toView(before),
        after: toView(after),
      });
      return toView(after);
    });
  }
}

function toView({
  rateLimit,
  burstLimit,
  ...row
}: Prisma.AccountGetPayload<{ select: typeof VIEW }>): AccountView {
  return { ...row, throttle: { rateLimit, burstLimit } };
}
