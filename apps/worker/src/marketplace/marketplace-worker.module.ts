import { Module } from '@nestjs/common';
import { MarketplaceModule } from '@io/marketplace';
import { ReadMarketplaceQueuesProcessor } from './read-marketplace-queues.processor.js';
import { RefreshEntitlementsProcessor } from './refresh-entitlements.processor.js';
import { SealMarketplaceHoursProcessor } from './seal-marketplace-hours.processor.js';
import { SendMeteringRecordsProcessor } from './send-metering-records.processor.js';
import { WatchMeteringDeadlinesProcessor } from './watch-metering-deadlines.processor.js';

@Module({
  imports: [MarketplaceModule],
  providers: [
    ReadMarketplaceQueuesProcessor,
    RefreshEntitlementsProcessor,
    SealMarketplaceHoursProcessor,
    SendMeteringRecordsProcessor,
    WatchMeteringDeadlinesProcessor,
  ],
})
export class MarketplaceWorkerModule {}
