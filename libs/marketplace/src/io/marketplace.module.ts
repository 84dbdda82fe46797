import { Module } from '@nestjs/common';
import { CatalogModule } from '@io/catalog';
import { BillingModule } from '@io/billing';
import { IdentityModule } from '@io/identity';
import { MeteringModule } from '@io/metering';
import { AccessService } from './access.service.js';
import { LandingService } from './landing.service.js';
import { NoticesRepository } from './notices.repository.js';
import { NoticesService } from './notices.service.js';
import { SnsService } from './sns.service.js';
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
  imports: [BillingModule, CatalogModule, IdentityModule, MeteringModule],
  providers: [
    AccessService,
    LandingService,
    NoticesRepository,
    NoticesService,
    SnsService,
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
    AccessService,
    LandingService,
    NoticesService,
    SnsService,
    AgreementsService,
    MeteringRecordsService,
    MeteringSenderService,
    ProductsService,
    SealingService,
  ],
})
export class MarketplaceModule {}
