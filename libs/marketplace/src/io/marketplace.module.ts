import { Module } from '@nestjs/common';
import { CatalogModule } from '@io/catalog';
import { BillingModule } from '@io/billing';
import { IdentityModule } from '@io/identity';
import { MeteringModule } from '@io/metering';
import { AccessService } from './access.service.js';
import { LandingService } from './landing.service.js';
import { NoticesRepository } from './notices.repository.js';
import { NoticesService } from './notices.service.js';
import { SnsCertificates } from './sns-certificates.js';
import { SnsService } from './sns.service.js';
import { AgreementsRepository } from './agreements.repository.js';
import { AgreementsService } from './agreements.service.js';
import { EntitledAccessRepository } from './entitled-access.repository.js';
import { EntitledAccessService } from './entitled-access.service.js';
import { EntitlementClient } from './entitlement-client.js';
import { EntitlementsRepository } from './entitlements.repository.js';
import { EntitlementsService } from './entitlements.service.js';
import { DeadlineWatchRepository } from './deadline-watch.repository.js';
import { MarketplaceClient } from './marketplace-client.js';
import { MeteringSenderService } from './metering-sender.service.js';
import { QueueClient } from './queue-client.js';
import { QueuesRepository } from './queues.repository.js';
import { QueuesService } from './queues.service.js';
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
    SnsCertificates,
    SnsService,
    AgreementsRepository,
    AgreementsService,
    DeadlineWatchRepository,
    EntitledAccessRepository,
    EntitledAccessService,
    EntitlementClient,
    EntitlementsRepository,
    EntitlementsService,
    MarketplaceClient,
    MeteringRecordsService,
    MeteringSenderService,
    ProductsRepository,
    ProductsService,
    QueueClient,
    QueuesRepository,
    QueuesService,
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
    EntitlementsService,
    MeteringRecordsService,
    MeteringSenderService,
    ProductsService,
    QueuesService,
    SealingService,
  ],
})
export class MarketplaceModule {}
