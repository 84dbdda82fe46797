import { Injectable } from '@nestjs/common';
import type { Scope } from '@core/identity';
import { appendAudit, checkVersion, Database, nextVersion, type IfMatch } from '@io/platform';
import { applyApproval } from './apply-approval.js';
import type { FinalisingTerms } from './issuer-of.js';

/** How drafts of an account become final, where an issuer does not say otherwise. */
export interface InvoiceSettings extends FinalisingTerms {
  readonly updatedAt: Date;
}

const VIEW = { collectionHours: true, requiresApproval: true, updatedAt: true } as const;

/** The settings of accounts. */
@Injectable()
export class InvoiceSettingsRepository {
  constructor(private readonly db: Database) {}

  get({ accountId }: Scope): Promise<InvoiceSettings> {
    return this.db.account.findUniqueOrThrow({ where: { id: accountId }, select: VIEW });
  }

  /** Hours count for drafts to come; whether approval is wanted for those that are there too. */
  update(
    { accountId, principalId }: Scope,
    change: Partial<FinalisingTerms>,
    { ifMatch, now }: { readonly ifMatch: IfMatch; readonly now: Date },
  ): Promise<InvoiceSettings> {
    const where = { id: accountId };
    return this.db.$transaction(async (tx) => {
      await tx.$queryRaw`SELECT FROM account WHERE id = ${accountId} FOR NO KEY UPDATE`;
      const before = await tx.account.findUniqueOrThrow({ where, select: VIEW });
      checkVersion(ifMatch, before);
      const data = { ...change, updatedAt: nextVersion(before, now) };
      const after = await tx.account.update({ where, data, select: VIEW });
      await applyApproval(tx, accountId);
      const entry = { action: 'update-invoice-settings', subject: accountId, before, after };
      await appendAudit(tx, { accountId, principalId, ...entry });
      return after;
    });
  }
}
