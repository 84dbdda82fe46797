import { Injectable } from '@nestjs/common';
import { UsageCorrectionWaiting, UsageGapOpen, UsageQuarantined } from '@core/billing';
import { MissingUsageService, type MissingUsage } from '@io/metering';
import type { InvoicePeriod } from './finalise-rated.js';
import type { HeldFor } from './invoice-rows.js';
import { TermsRepository } from './terms.repository.js';

/** What keeps invoices from being final: usage of their periods that may be missing. */
@Injectable()
export class HoldsService {
  constructor(
    private readonly missing: MissingUsageService,
    private readonly terms: TermsRepository,
  ) {}

  /** Throws `UsageGapOpen`, `UsageQuarantined` or `UsageCorrectionWaiting`. */
  async refuseIncomplete(accountId: string, of: InvoicePeriod): Promise<void> {
    const [missing] = await this.missingOf(accountId, [of]);
    if (!missing) return;
    const { gaps, recordIds, correctionIds } = missing;
    if (gaps.length > 0) throw new UsageGapOpen(gaps);
    if (recordIds.length > 0) throw new UsageQuarantined(recordIds);
    if (correctionIds.length > 0) throw new UsageCorrectionWaiting(correctionIds);
  }

  /** Why each of them is held; null when it is not. */
  async reasons(
    accountId: string,
    slice: readonly InvoicePeriod[],
  ): Promise<readonly (HeldFor | null)[]> {
    return (await this.missingOf(accountId, slice)).map(reasonOf);
  }

  /** Any gateway of the account may have seen a customer's calls, so a gap of any of them counts; also of an account that is billed. */
  private async missingOf(
    accountId: string,
    slice: readonly InvoicePeriod[],
  ): Promise<MissingUsage[]> {
    const own = await this.missing.touchingEach(accountId, slice);
    const subscriptionIds = slice.map(({ subscriptionId }) => subscriptionId);
    const billed = await this.terms.billedBy(accountId, subscriptionIds);
    for (const [index, { subscriptionId, period }] of slice.entries()) {
      const [before, billedId] = [own[index], billed.get(subscriptionId)];
      if (!before || billedId === undefined) continue;
      const [theirs] = await this.missing.touchingEach(billedId, [{ period }]);
      if (theirs) own[index] = both(before, theirs);
    }
    return own;
  }
}

const both = (a: MissingUsage, b: MissingUsage): MissingUsage => ({
  gaps: [...a.gaps, ...b.gaps],
  recordIds: [...a.recordIds, ...b.recordIds],
  correctionIds: [...a.correctionIds, ...b.correctionIds],
});

function reasonOf({ gaps, recordIds, correctionIds }: MissingUsage): HeldFor | null {
  if (gaps.length > 0) return 'usage-gap';
  if (recordIds.length > 0) return 'usage-quarantined';
  return correctionIds.length > 0 ? 'usage-correction-waiting' : null;
}
