import { Injectable } from '@nestjs/common';
import type { Scope } from '@core/identity';
import { isDecisionId } from '@core/metering';
import { InvalidRequest } from '@io/platform';
import { UsageRecordsRepository, type FoundRecord } from './usage-records.repository.js';

/** Usage records one by one. */
@Injectable()
export class UsageRecordsService {
  constructor(private readonly records: UsageRecordsRepository) {}

  /** What the call of a decision was counted as; empty when no gateway said so, or the records of its day are gone. */
  ofDecision({ accountId }: Scope, decisionId: string): Promise<FoundRecord[]> {
    if (!isDecisionId(decisionId))
      throw new InvalidRequest([
        { pointer: '/decisionId', detail: 'must be the id of a decision, such as dec_…' },
      ]);
    return this.records.ofDecision(accountId, decisionId);
  }
}
