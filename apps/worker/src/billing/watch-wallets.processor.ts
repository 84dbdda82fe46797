import { Processor, WorkerHost } from '@nestjs/bullmq';
import { WalletsService, WATCH_WALLETS } from '@io/billing';
import { RECOVERY } from '@io/platform';

/** Tells of credit that runs low, and stops who has used it up. Runs in any number of workers. */
@Processor(WATCH_WALLETS, RECOVERY)
export class WatchWalletsProcessor extends WorkerHost {
  constructor(private readonly wallets: WalletsService) {
    super();
  }

  async process(): Promise<{ lookedAt: number }> {
    return { lookedAt: await this.wallets.watch() };
  }
}
