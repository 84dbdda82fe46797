import { Injectable } from '@nestjs/common';
import type { Principal, Role, Scope } from '@core/identity';
import {
  appendAudit,
  Database,
  isUniqueViolation,
  Keyring,
  NotFound,
  pageArguments,
  type PageRequest,
} from '@io/platform';
import { LastOwnerToken } from './errors.js';
import {
  newTokenValue,
  TOKEN_VIEW,
  tokenRow,
  type TokenGrant,
  type TokenView,
} from './new-token.js';

interface PrincipalRow {
  readonly id: string;
  readonly accountId: string;
  readonly kind: string;
  readonly role: string | null;
  readonly gatewayId: string | null;
  readonly customerId: string | null;
  readonly expiresAt: Date | null;
}

/**
 * $1 are the hashes that the token may be stored under. Through the driver: a cold process answers its first call
 * before Prisma's compiler is up.
 */
const PRINCIPAL = `
  SELECT t.id, t.account_id AS "accountId", t.kind, t.role, t.gateway_id AS "gatewayId", t.customer_id AS "customerId",
    t.expires_at AS "expiresAt"
  FROM token t LEFT JOIN gateway g ON g.id = t.gateway_id
  WHERE t.hash = ANY($1::bytea[]) AND t.revoked_at IS NULL
    AND (t.gateway_id IS NULL OR (g.id IS NOT NULL AND g.disabled_at IS NULL))`;

/** The tokens table: keyed hashes of bearer tokens and whom each stands for. */
@Injectable()
export class TokensRepository {
  constructor(
    private readonly db: Database,
    private readonly keyring: Keyring,
  ) {}

  /** Whom a token stands for, with its end; null when unknown or revoked. Expiry is the caller's to check. */
  async principal(value: string): Promise<{ principal: Principal; expiresAt: Date | null } | null> {
    const hashes = this.keyring.hashes('token-pepper', value);
    const { rows } = await this.db.pool.query<PrincipalRow>({
      name: 'principal-of-token',
      text: PRINCIPAL,
      values: [hashes],
    });
    const [row] = rows;
    const principal = row && toPrincipal(row);
    return principal ? { principal, expiresAt: row.expiresAt } : null;
  }

  /** Makes a token; its value is answered once and never kept. */
  async create(
    scope: Scope,
    grant: TokenGrant,
    { name, expiresAt }: { name: string; expiresAt: Date | null },
  ): Promise<TokenView & { readonly value: string }> {
    const value = newTokenValue(grant);
    const data = tokenRow(this.keyring, scope.accountId, grant, { value, name, expiresAt });
    return this.db.$transaction(async (tx) => {
      const after = await tx.token.create({ data, select: TOKEN_VIEW });
      await appendAudit(tx, { ...scope, action: 'create-token', subject: after.id, after });
      return { ...after, value };
    });
  }

  /** Puts a token that was given by the settings where none of its value ever was; a revoked one stays revoked. */
  async ensure(accountId: string, grant: TokenGrant, value: string, name: string): Promise<void> {
    const known = await this.principal(value);
    if (known) return;
    try {
      const token = { value, name, expiresAt: null };
      await this.db.token.create({ data: tokenRow(this.keyring, accountId, grant, token) });
    } catch (error) {
      if (!isUniqueViolation(error, 'hash')) throw error;
    }
  }

  async find(
    { accountId }: Scope,
    id: string,
  ): Promise<(TokenView & { role: Role | null }) | null> {
    const row = await this.db.token.findUnique({
      where: { accountId_id: { accountId, id } },
      select: TOKEN_VIEW,
    });
    return row && { ...row, role: row.role as Role | null };
  }

  list(
    { accountId }: Scope,
    filter: { readonly kind?: string },
    request: PageRequest,
  ): Promise<TokenView[]> {
    const { where, ...page } = pageArguments(request);
    return this.db.token.findMany({
      where: { accountId, ...filter, ...where },
      ...page,
      select: TOKEN_VIEW,
    });
  }

  /**
   * Revokes a token for good; again changes nothing. Refused for the last owner token of the account: its row is
   * locked first, so that two owners who revoke each other at once do not both succeed.
   */
  revoke(scope: Scope, id: string, now: Date): Promise<void> {
    const { accountId } = scope;
    const where = { accountId_id: { accountId, id } };
    return this.db.$transaction(async (tx) => {
      await tx.$queryRaw`SELECT id FROM account WHERE id = ${accountId} FOR NO KEY UPDATE`;
      const before = await tx.token.findUnique({ where, select: TOKEN_VIEW });
      if (!before) throw new NotFound('token', id);
      if (before.revokedAt) return;
      if (before.role === 'owner') {
        const others = await tx.token.count({
          where: {
            accountId,
            role: 'owner',
            revokedAt: null,
            id: { not: id },
            OR: [{ expiresAt: null }, { expiresAt: { gt: now } }],
          },
        });
        if (others === 0) throw new LastOwnerToken();
      }
      const after = await tx.token.update({ where, data: { revokedAt: now }, select: TOKEN_VIEW });
      await appendAudit(tx, { ...scope, action: 'revoke-token', subject: id, before, after });
    });
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
