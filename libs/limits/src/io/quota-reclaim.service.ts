import { Injectable, Logger } from '@nestjs/common';
import { QuotaReclaimRepository, type Reclaimed } from './quota-reclaim.repository.js';

/** The queue, and the job, that gives back what crashed holders had not spent. */
export const RECLAIM_QUOTA_BLOCKS = 'reclaim-quota-blocks';

/**
 * Finds holders that died and gives back what they had not spent, once usage proves it. Every step can be run again
 * and by several workers at once.
 */
@Injectable()
export class QuotaReclaimService {
  private readonly logger = new Logger('QuotaReclaim');

  constructor(private readonly lost: QuotaReclaimRepository) {}

  async reclaim(): Promise<Reclaimed> {
    const lost = await this.lost.declareDead();
    if (lost > 0)
      this.logger.warn(`Holders of quota blocks died: ${lost} counters have lost units.`);
    await this.lost.forgetPast();
    const units = await this.lost.giveBack();
    if (units > 0) this.logger.log(`${units} units of dead holders can be spent again.`);
    await this.lost.count();
    return { lost, units };
  }
}
