import { Injectable } from '@nestjs/common';
import type { Scope } from '@core/identity';
import { appendAudit, checkVersion, Database, nextVersion, type IfMatch } from '@io/platform';
import { applyApproval } from './apply-approval.js';
import type { FinalisingTerms, IssuedBy } from './issuer-of.js';

/** How drafts of an account become final and when they are to be paid, where nobody says otherwise. */
export type InvoiceTerms = FinalisingTerms & Pick<IssuedBy, 'netTermsDays'>;

/** The same, as it is shown. */
export interface InvoiceSettings extends InvoiceTerms {
  readonly updatedAt: Date;
}

const VIEW = {
  collectionHours: true,
  requiresApproval: true,
  netTermsDays: true,
  updatedAt: true,
} as const;

/** The settings of accounts. */
@Injectable()
export class InvoiceSettingsRepository {
  constructor(private readonly db: Database) {}

  get({ accountId }: Scope): Promise<InvoiceSettings> {
    return this.db.account.findUniqueOrThrow({ where: { id: accountId }, select: VIEW });
  }

  /** Hours count for drafts to come, days to pay for what becomes final; whether approval is wanted for drafts that are there too. */
  update(
    { accountId, principalId }: Scope,
    change: Partial<InvoiceTerms>,
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
