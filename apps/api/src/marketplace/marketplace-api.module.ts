import { Module } from '@nestjs/common';
import { MarketplaceModule } from '@io/marketplace';
import { AgreementsController } from './agreements.controller.js';
import { LandingController } from './landing.controller.js';
import { MeteringRecordsController } from './metering-records.controller.js';
import { NoticesController } from './notices.controller.js';
import { ProductsController } from './products.controller.js';
import { QueueMessagesController } from './queue-messages.controller.js';
import { VisitThrottle } from './visit-throttle.js';

/** The routes of marketplaces. */
@Module({
  imports: [MarketplaceModule],
  controllers: [
    AgreementsController,
    LandingController,
    MeteringRecordsController,
    NoticesController,
    ProductsController,
    QueueMessagesController,
  ],
  providers: [VisitThrottle],
})
export class MarketplaceApiModule {}
