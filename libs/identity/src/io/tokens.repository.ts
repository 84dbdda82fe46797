import { randomBytes } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import { prefixedId, randomBase62 } from '@core/kernel';
import { appendAudit, Database, Keyring, pageArguments, type PageRequest } from '@io/platform';
import type { Principal, Role, Scope } from '@core/identity';

/** What a token is for. */
export type TokenGrant =
  | { readonly kind: 'operator'; readonly role: Role }
  | { readonly kind: 'gateway'; readonly gatewayId: string }
  | { readonly kind: 'customer'; readonly customerId: string };

/** A token as it is kept: all but its value. */
export interface TokenView {
  readonly id: string;
  readonly kind: string;
  readonly role: string | null;
  readonly gatewayId: string | null;
  readonly customerId: string | null;
  readonly name: string;
  readonly lastFour: string;
  readonly createdAt: Date;
  readonly expiresAt: Date | null;
  readonly revokedAt: Date | null;
}

const PREFIXES = { operator: 'tgo', gateway: 'tgw', customer: 'tgc' } as const;
const VIEW = {
  id: true,
  kind: true,
  role: true,
  gatewayId: true,
  customerId: true,
  name: true,
  lastFour: true,
  createdAt: true,
  expiresAt: true,
  revokedAt: true,
} as const;

/** The tokens table: keyed hashes of bearer tokens and whom each stands for. */
@Injectable()
export class TokensRepository {
  constructor(
    private readonly db: Database,
    private readonly keyring: Keyring,
  ) {}

  /** Whom a token stands for, with its end; null when unknown or revoked. Expiry is the caller's to check. */
  async principal(value: string): Promise<{ principal: Principal; expiresAt: Date | null } | null> {
    const hashes = this.keyring.hashes('token-pepper', value).map((hash) => Uint8Array.from(hash));
    const row = await this.db.token.findFirst({ where: { hash: { in: hashes }, revokedAt: null } });
    if (!row) return null;
    if (row.gatewayId !== null) {
      const gateway = await this.db.gateway.findUnique({ where: { id: row.gatewayId } });
      if (!gateway || gateway.disabledAt) return null;
    }
    const principal = toPrincipal(row);
    return principal && { principal, expiresAt: row.expiresAt };
  }

  /** Makes a token; its value is answered once and never kept. */
  async create(
    scope: Scope,
    grant: TokenGrant,
    { name, expiresAt }: { name: string; expiresAt: Date | null },
  ): Promise<{ token: TokenView; value: string }> {
    const value = `${PREFIXES[grant.kind]}_${randomBase62(40, randomBytes)}`;
    const token = await this.db.$transaction(async (tx) => {
      const created = await tx.token.create({
        data: { ...this.row(scope.accountId, grant, value, name), expiresAt },
        select: VIEW,
      });
      await appendAudit(tx, {
        ...scope,
        action: 'create-token',
        subject: created.id,
        after: created,
      });
      return created;
    });
    return { token, value };
  }

  /** Puts a token that was given by the settings where it is missing; the same again changes nothing. */
  async ensure(accountId: string, grant: TokenGrant, value: string, name: string): Promise<void> {
    const known = await this.principal(value);
    if (known) return;
    await this.db.token.create({ data: this.row(accountId, grant, value, name) });
  }

  list(scope: Scope, request: PageRequest): Promise<TokenView[]> {
    const { where, ...page } = pageArguments(request);
    return this.db.token.findMany({
      where: { accountId: scope.accountId, ...where },
      ...page,
      select: VIEW,
    });
  }

  /** Revokes a token for good; false when there is none. */
  async revoke(scope: Scope, id: string, now: Date): Promise<boolean> {
    return this.db.$transaction(async (tx) => {
      const before = await tx.token.findFirst({
        where: { id, accountId: scope.accountId },
        select: VIEW,
      });
      if (!before) return false;
      if (before.revokedAt) return true;
      const after = await tx.token.update({
        where: { accountId_id: { accountId: scope.accountId, id } },
        data: { revokedAt: now },
        select: VIEW,
      });
      await appendAudit(tx, { ...scope, action: 'revoke-token', subject: id, before, after });
      return true;
    });
  }

  private row(accountId: string, grant: TokenGrant, value: string, name: string) {
    return {
      id: prefixedId('tok', randomBytes),
      accountId,
      kind: grant.kind,
      role: grant.kind === 'operator' ? grant.role : null,
      gatewayId: grant.kind === 'gateway' ? grant.gatewayId : null,
      customerId: grant.kind === 'customer' ? grant.customerId : null,
      name,
      hash: Uint8Array.from(this.keyring.hash('token-pepper', value)),
      pepperId: this.keyring.currentId,
      lastFour: value.slice(-4),
    };
  }
}

function toPrincipal(row: {
  id: string;
  accountId: string;
  kind: string;
  role: string | null;
  gatewayId: string | null;
  customerId: string | null;
}): Principal | null {
  const { id, accountId } = row;
  if (row.kind === 'operator' && row.role)
    return { kind: 'operator', id, accountId, role: row.role as Role };
  if (row.kind === 'gateway' && row.gatewayId)
    return { kind: 'gateway', id, accountId, gatewayId: row.gatewayId };
  if (row.kind === 'customer' && row.customerId)
    return { kind: 'customer', id, accountId, customerId: row.customerId };
  return null;
}
