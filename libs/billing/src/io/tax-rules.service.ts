import { Injectable } from '@nestjs/common';
import { taxTermsFaults, type TaxRule, type TaxTerms } from '@core/billing';
import type { Scope } from '@core/identity';
import {
  InvalidRequest,
  NotFound,
  Pages,
  SystemClock,
  type Given,
  type IfMatch,
  type Page,
  type PageQuery,
} from '@io/platform';
import { TaxRulesRepository, type StoredTaxRule } from './tax-rules.repository.js';

/** Rules by which lines are taxed. A change is for drafts and what comes; a finalised invoice keeps its tax. */
@Injectable()
export class TaxRulesService {
  constructor(
    private readonly rules: TaxRulesRepository,
    private readonly pages: Pages,
    private readonly clock: SystemClock,
  ) {}

  /** Throws `InvalidRequest` naming the fields, or `TaxRuleExists`. */
  async create(scope: Scope, rule: TaxRule): Promise<StoredTaxRule> {
    const found = await this.rules.references(scope, rule);
    const faults = [
      ...taxTermsFaults(rule),
      ...(rule.customerId === null || found.customer
        ? []
        : [{ pointer: '/customerId', detail: 'is not a customer of this account' }]),
      ...(rule.usagePlanId === null || found.usagePlan
        ? []
        : [{ pointer: '/usagePlanId', detail: 'is not a usage plan of this account' }]),
    ];
    if (faults.length > 0) throw new InvalidRequest(faults);
    return this.rules.create(scope, rule);
  }

  async list(scope: Scope, query: PageQuery): Promise<Page<StoredTaxRule>> {
    const list = `tax-rules ${scope.accountId}`;
    const page = this.pages.request(query, list);
    return this.pages.page(await this.rules.page(scope, page), page, list);
  }

  async get(scope: Scope, id: string): Promise<StoredTaxRule> {
    const rule = await this.rules.find(scope, id);
    if (!rule) throw new NotFound('tax rule', id);
    return rule;
  }

  /** Changes the terms; what the rule is for stays. */
  update(
    scope: Scope,
    id: string,
    change: Given<Partial<TaxTerms>>,
    ifMatch: IfMatch,
  ): Promise<StoredTaxRule> {
    const termsOf = (before: StoredTaxRule): TaxTerms => {
      const { name, category, ratePercent, isInclusive, reason } = before;
      const terms = { name, category, ratePercent, isInclusive, reason, ...change };
      const faults = taxTermsFaults(terms);
      if (faults.length > 0) throw new InvalidRequest(faults);
      return terms;
    };
    return this.rules.update(scope, id, termsOf, { ifMatch, now: this.clock.now() });
  }

  delete(scope: Scope, id: string): Promise<void> {
    return this.rules.delete(scope, id);
  }
}
