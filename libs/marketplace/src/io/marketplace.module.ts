import { Module } from '@nestjs/common';
import { BillingModule } from '@io/billing';
import { MeteringModule } from '@io/metering';
import { AgreementsRepository } from './agreements.repository.js';
import { AgreementsService } from './agreements.service.js';
import { DeadlineWatchRepository } from './deadline-watch.repository.js';
import { MarketplaceClient } from './marketplace-client.js';
import { MeteringSenderService } from './metering-sender.service.js';
import { ProductsRepository } from './products.repository.js';
import { ProductsService } from './products.service.js';
import { RecordsRepository } from './records.repository.js';
import { MeteringRecordsService } from './records.service.js';
import { SealingRepository } from './sealing.repository.js';
import { SealingService } from './sealing.service.js';

@Module({
  imports: [BillingModule, MeteringModule],
  providers: [
    AgreementsRepository,
    AgreementsService,
    DeadlineWatchRepository,
    MarketplaceClient,
    MeteringRecordsService,
    MeteringSenderService,
    ProductsRepository,
    ProductsService,
    RecordsRepository,
    SealingRepository,
    SealingService,
  ],
  exports: [
    AgreementsService,
    MeteringRecordsService,
    MeteringSenderService,
    ProductsService,
    SealingService,
  ],
})
export class MarketplaceModule {}
