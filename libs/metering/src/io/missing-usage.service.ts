import { Injectable } from '@nestjs/common';
import type { Period } from '@core/kernel';
import type { BatchNumbers } from '@core/metering';
import { CorrectionsService } from './corrections.service.js';
import { QuarantineService } from './quarantine.service.js';
import { UsageGapsService } from './usage-gaps.service.js';

/** What keeps the usage of a customer in a period from being complete; the first of each. */
export interface MissingUsage {
  readonly gaps: readonly BatchNumbers[];
  readonly recordIds: readonly string[];
  readonly correctionIds: readonly string[];
}

/** How many of each are told. */
const TOLD_MAX = 20;

/** What is known to be missing of usage that was counted. */
@Injectable()
export class MissingUsageService {
  constructor(
    private readonly gaps: UsageGapsService,
    private readonly quarantine: QuarantineService,
    private readonly corrections: CorrectionsService,
  ) {}

  /**
   * Of each customer's period, or of all customers' where none is named: batches that never came, of any gateway of the account, since
   * each may have seen the calls; records that are quarantined; and corrections that wait for their record.
   */
  async touchingEach(
    accountId: string,
    asked: readonly { readonly customerId?: string; readonly period: Period }[],
  ): Promise<MissingUsage[]> {
    const isQuarantined = await this.quarantine.hasOpen(accountId);
    const ofAccount = new Map<string, Pick<MissingUsage, 'gaps' | 'correctionIds'>>();
    const all: MissingUsage[] = [];
    for (const { period, ...of } of asked) {
      const span = `${period.from.getTime()} ${period.to.getTime()}`;
      const known = ofAccount.get(span) ?? {
        gaps: await this.gaps.touching(accountId, period, TOLD_MAX),
        correctionIds: await this.corrections.touching(accountId, period, TOLD_MAX),
      };
      ofAccount.set(span, known);
      const customer = { accountId, ...of };
      const recordIds = isQuarantined
        ? await this.quarantine.touching(customer, period, TOLD_MAX)
        : [];
      all.push({ ...known, recordIds });
    }
    return all;
  }
}
