import { randomBytes } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import { SeriesTaken } from '@core/billing';
import type { Scope } from '@core/identity';
import { prefixedId } from '@core/kernel';
import {
  appendAudit,
  checkVersion,
  Database,
  isUniqueViolation,
  nextVersion,
  NotFound,
  pageArguments,
  type IfMatch,
  type PageRequest,
} from '@io/platform';
import { applyApproval } from './apply-approval.js';

/** How an issuer stands on its invoices. */
export interface IssuerParty {
  readonly name: string;
  readonly legalName: string | null;
  readonly address: string | null;
  readonly taxId: string | null;
}

/** What can be changed of an issuer. */
export interface IssuerTerms extends IssuerParty {
  /** The account's when null. */
  readonly collectionHours: number | null;
  readonly requiresApproval: boolean | null;
  readonly netTermsDays: number | null;
}

/** A company in whose name invoices are issued, with a series of its own, which never changes. */
export interface Issuer extends IssuerTerms {
  readonly id: string;
  readonly series: string;
  readonly createdAt: Date;
  readonly updatedAt: Date;
}

const VIEW = {
  id: true,
  series: true,
  name: true,
  legalName: true,
  address: true,
  taxId: true,
  collectionHours: true,
  requiresApproval: true,
  netTermsDays: true,
  createdAt: true,
  updatedAt: true,
} as const;

/** The table of issuers. */
@Injectable()
export class IssuersRepository {
  constructor(private readonly db: Database) {}

  /** Throws `SeriesTaken`. */
  async create(scope: Scope, issuer: IssuerTerms & { series: string }): Promise<Issuer> {
    const { accountId, principalId } = scope;
    const id = prefixedId('iss', randomBytes);
    try {
      return await this.db.$transaction(async (tx) => {
        const after = await tx.issuer.create({ data: { id, accountId, ...issuer }, select: VIEW });
        const change = { action: 'create-issuer', subject: id, after };
        await appendAudit(tx, { accountId, principalId, ...change });
        return after;
      });
    } catch (error) {
      if (isUniqueViolation(error)) throw new SeriesTaken(issuer.series);
      throw error;
    }
  }

  find({ accountId }: Scope, id: string): Promise<Issuer | null> {
    const where = { accountId_id: { accountId, id } };
    return this.db.issuer.findUnique({ where, select: VIEW });
  }

  page({ accountId }: Scope, page: PageRequest): Promise<Issuer[]> {
    const { where, ...rest } = pageArguments(page);
    return this.db.issuer.findMany({ where: { accountId, ...where }, ...rest, select: VIEW });
  }

  /** Changes how the issuer stands on drafts and what comes. */
  update(
    scope: Scope,
    id: string,
    change: Partial<IssuerTerms>,
    { ifMatch, now }: { readonly ifMatch: IfMatch; readonly now: Date },
  ): Promise<Issuer> {
    const { accountId, principalId } = scope;
    const where = { accountId_id: { accountId, id } };
    return this.db.$transaction(async (tx) => {
      await tx.$queryRaw`SELECT FROM issuer WHERE account_id = ${accountId} AND id = ${id} FOR NO KEY UPDATE`;
      const before = await tx.issuer.findUnique({ where, select: VIEW });
      if (!before) throw new NotFound('issuer', id);
      checkVersion(ifMatch, before);
      const data = { ...change, updatedAt: nextVersion(before, now) };
      const after = await tx.issuer.update({ where, data, select: VIEW });
      await applyApproval(tx, accountId);
      const entry = { action: 'update-issuer', subject: id, before, after };
      await appendAudit(tx, { accountId, principalId, ...entry });
      return after;
    });
  }
}
