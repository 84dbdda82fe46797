import { randomBytes } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import { TaxRuleExists, type TaxRule, type TaxTerms } from '@core/billing';
import type { Scope } from '@core/identity';
import { decimal, prefixedId } from '@core/kernel';
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
  type Prisma,
} from '@io/platform';

/** A rule as it is kept. */
export interface StoredTaxRule extends TaxRule {
  readonly id: string;
  readonly createdAt: Date;
  readonly updatedAt: Date;
}

type Row = Prisma.TaxRuleGetPayload<object>;

/** The rules by which lines are taxed. */
@Injectable()
export class TaxRulesRepository {
  constructor(private readonly db: Database) {}

  /** Throws `TaxRuleExists` when one is for the same already. */
  async create(scope: Scope, rule: TaxRule): Promise<StoredTaxRule> {
    const { accountId, principalId } = scope;
    const id = prefixedId('tax', randomBytes);
    try {
      return await this.db.$transaction(async (tx) => {
        const row = await tx.taxRule.create({ data: { id, accountId, ...rule } });
        await appendAudit(tx, {
          accountId,
          principalId,
          action: 'create-tax-rule',
          subject: id,
          after: rule,
        });
        return toTaxRule(row);
      });
    } catch (error) {
      if (isUniqueViolation(error)) throw new TaxRuleExists(rule);
      throw error;
    }
  }

  async find({ accountId }: Scope, id: string): Promise<StoredTaxRule | null> {
    const row = await this.db.taxRule.findUnique({ where: { accountId_id: { accountId, id } } });
    return row && toTaxRule(row);
  }

  async page({ accountId }: Scope, page: PageRequest): Promise<StoredTaxRule[]> {
    const { where, ...rest } = pageArguments(page);
    const rows = await this.db.taxRule.findMany({ where: { accountId, ...where }, ...rest });
    return rows.map(toTaxRule);
  }

  /** Puts other terms into a rule; what it is for stays. The terms are asked for under the rule's lock. */
  async update(
    scope: Scope,
    id: string,
    termsOf: (before: StoredTaxRule) => TaxTerms,
    { ifMatch, now }: { readonly ifMatch: IfMatch; readonly now: Date },
  ): Promise<StoredTaxRule> {
    const { accountId, principalId } = scope;
    const where = { accountId_id: { accountId, id } };
    return this.db.$transaction(async (tx) => {
      const row = await lockRule(tx, scope, id);
      const before = toTaxRule(row);
      checkVersion(ifMatch, before);
      const terms = termsOf(before);
      const after = toTaxRule(
        await tx.taxRule.update({
          where,
          data: { ...terms, updatedAt: nextVersion(before, now) },
        }),
      );
      const change = { action: 'update-tax-rule', subject: id, before, after };
      await appendAudit(tx, { accountId, principalId, ...change });
      return after;
    });
  }

  async delete(scope: Scope, id: string): Promise<void> {
    const { accountId, principalId } = scope;
    await this.db.$transaction(async (tx) => {
      const before = toTaxRule(await lockRule(tx, scope, id));
      await tx.taxRule.delete({ where: { accountId_id: { accountId, id } } });
      const change = { action: 'delete-tax-rule', subject: id, before };
      await appendAudit(tx, { accountId, principalId, ...change });
    });
  }

  /** What a new rule refers to, as far as it is there. */
  async references(
    { accountId }: Scope,
    { customerId, usagePlanId }: { customerId: string | null; usagePlanId: string | null },
  ): Promise<{ readonly customer: boolean; readonly usagePlan: boolean }> {
    const count = (id: string | null) => ({ where: { accountId, id: id ?? '' } });
    const [customers, usagePlans] = await Promise.all([
      this.db.customer.count(count(customerId)),
      this.db.usagePlan.count(count(usagePlanId)),
    ]);
    return { customer: customers > 0, usagePlan: usagePlans > 0 };
  }
}

async function lockRule(
  tx: Prisma.TransactionClient,
  { accountId }: Scope,
  id: string,
): Promise<Row> {
  await tx.$queryRaw`SELECT FROM tax_rule WHERE account_id = ${accountId} AND id = ${id} FOR UPDATE`;
  const row = await tx.taxRule.findUnique({ where: { accountId_id: { accountId, id } } });
  if (!row) throw new NotFound('tax rule', id);
  return row;
}

/** Reads a row; the category is checked by the table. */
export function toTaxRule({ accountId: _, category, ratePercent, ...row }: Row): StoredTaxRule {
  const rate = decimal(ratePercent).toFixed();
  return { ...row, category: category as TaxRule['category'], ratePercent: rate };
}
