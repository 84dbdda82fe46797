export { MarketplaceModule } from './marketplace.module.js';
export { AgreementsService } from './agreements.service.js';
export { MeteringSenderService, SEND_METERING_RECORDS } from './metering-sender.service.js';
export { ProductsService } from './products.service.js';
export { RECORD_STATES } from './records.repository.js';
export { MeteringRecordsService, WATCH_METERING_DEADLINES } from './records.service.js';
export { SEAL_MARKETPLACE_HOURS, SealingService } from './sealing.service.js';
