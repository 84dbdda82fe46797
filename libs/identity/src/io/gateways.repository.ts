import { randomBytes } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import { prefixedId } from '@core/kernel';
import type { Scope } from '@core/identity';
import {
  appendAudit,
  checkVersion,
  Database,
  isReferenceViolation,
  isUniqueViolation,
  Keyring,
  nextVersion,
  NotFound,
  pageArguments,
  type IfMatch,
  type PageRequest,
} from '@io/platform';
import { GatewayExists, GatewayInUse } from './errors.js';
import { newTokenValue, tokenRow } from './new-token.js';

/** A gateway as it is shown. */
export interface GatewayView {
  readonly id: string;
  readonly name: string;
  readonly disabledAt: Date | null;
  readonly createdAt: Date;
  readonly updatedAt: Date;
}

const VIEW = { id: true, name: true, disabledAt: true, createdAt: true, updatedAt: true } as const;

/** The table of gateways. */
@Injectable()
export class GatewaysRepository {
  constructor(
    private readonly db: Database,
    private readonly keyring: Keyring,
  ) {}

  /** Makes a gateway and its first token, whose value is answered once. */
  async create(scope: Scope, name: string): Promise<GatewayView & { readonly token: string }> {
    const { accountId } = scope;
    const id = prefixedId('gw', randomBytes);
    const grant = { kind: 'gateway', gatewayId: id } as const;
    const value = newTokenValue(grant);
    try {
      return await this.db.$transaction(async (tx) => {
        const after = await tx.gateway.create({ data: { id, accountId, name }, select: VIEW });
        const token = tokenRow(this.keyring, accountId, grant, { value, name, expiresAt: null });
        await tx.token.create({ data: token });
        await appendAudit(tx, {
          ...scope,
          action: 'create-gateway',
          subject: id,
          after: { ...after, tokenId: token.id },
        });
        return { ...after, token: value };
      });
    } catch (error) {
      if (isUniqueViolation(error, 'name')) throw new GatewayExists(name);
      throw error;
    }
  }

  find({ accountId }: Scope, id: string): Promise<GatewayView | null> {
    return this.db.gateway.findUnique({
      where: { accountId_id: { accountId, id } },
      select: VIEW,
    });
  }

  list({ accountId }: Scope, request: PageRequest): Promise<GatewayView[]> {
    const { where, ...page } = pageArguments(request);
    return this.db.gateway.findMany({ where: { accountId, ...where }, ...page, select: VIEW });
  }

  /** Disabling stops all tokens of the gateway at once; enabling lets the same tokens in again. */
  async update(
    scope: Scope,
    id: string,
    { name, isDisabled }: { readonly name?: string; readonly isDisabled?: boolean },
    { ifMatch, now }: { ifMatch: IfMatch; now: Date },
  ): Promise<GatewayView> {
    const { accountId } = scope;
    const where = { accountId_id: { accountId, id } };
    try {
      return await this.db.$transaction(async (tx) => {
        await tx.$queryRaw`
          SELECT id FROM gateway WHERE account_id = ${accountId} AND id = ${id} FOR NO KEY UPDATE`;
        const before = await tx.gateway.findUnique({ where, select: VIEW });
        if (!before) throw new NotFound('gateway', id);
        checkVersion(ifMatch, before);
        const disabledAt = isDisabled ? (before.disabledAt ?? now) : null;
        const after = await tx.gateway.update({
          where,
          data: {
            ...(name === undefined ? {} : { name }),
            ...(isDisabled === undefined ? {} : { disabledAt }),
            updatedAt: nextVersion(before, now),
          },
          select: VIEW,
        });
        await appendAudit(tx, { ...scope, action: 'update-gateway', subject: id, before, after });
        return after;
      });
    } catch (error) {
      if (name !== undefined && isUniqueViolation(error, 'name')) throw new GatewayExists(name);
      throw error;
    }
  }

  /** Deletes a gateway and its tokens; refused once it has sent usage. */
  async delete(scope: Scope, id: string): Promise<void> {
    const { accountId } = scope;
    const where = { accountId_id: { accountId, id } };
    try {
      await this.db.$transaction(async (tx) => {
        const before = await tx.gateway.findUnique({ where, select: VIEW });
        if (!before) throw new NotFound('gateway', id);
        await tx.gateway.deleteMany({ where: { accountId, id } });
        await appendAudit(tx, { ...scope, action: 'delete-gateway', subject: id, before });
      });
    } catch (error) {
      if (isReferenceViolation(error)) throw new GatewayInUse(id);
      throw error;
    }
  }
}
