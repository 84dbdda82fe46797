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
   * Batches that never came, of any gateway of the account, since each may have seen the customer's calls; records that are quarantined; and
   * corrections that wait for their record.
   */
  async touching(
    of: { readonly accountId: string; readonly customerId?: string },
    period: Period,
  ): Promise<MissingUsage> {
    const { accountId } = of;
    return {
      gaps: await this.gaps.touching(accountId, period, TOLD_MAX),
      recordIds: await this.quarantine.touching(of, period, TOLD_MAX),
      correctionIds: await this.corrections.touching(accountId, period, TOLD_MAX),
    };
  }
}
