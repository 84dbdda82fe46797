import { Injectable } from '@nestjs/common';
import type { FieldFault } from '@core/kernel';
import { Database } from '@io/platform';
import type { BatchSource } from './usage-batches.repository.js';

/** The table of records that are not counted. */
@Injectable()
export class QuarantineRepository {
  constructor(private readonly db: Database) {}

  /** Why records of a batch that came before were quarantined with it, in their order. */
  async ofBatch(
    { accountId, gatewayId }: BatchSource,
    { epoch, sequence }: { readonly epoch: string; readonly sequence: number },
  ): Promise<{ ordinal: number; faults: readonly FieldFault[] }[]> {
    const rows = await this.db.quarantinedRecord.findMany({
      where: { accountId, gatewayId, epoch, sequence },
      select: { ordinal: true, faults: true },
      orderBy: { ordinal: 'asc' },
    });
    return rows.map(({ ordinal, faults }) => ({ ordinal, faults: faultsOf(faults) }));
  }
}

/** The faults of a row, which was written by us. */
const faultsOf = (text: string) => JSON.parse(text) as readonly FieldFault[];
