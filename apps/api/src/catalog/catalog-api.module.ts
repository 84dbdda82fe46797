import { Module } from '@nestjs/common';
import { CatalogModule } from '@io/catalog';
import { ApiKeysController } from '../keys/api-keys.controller.js';
import { ApisController } from './apis.controller.js';
import { StagesController } from './stages.controller.js';
import { UsagePlanKeysController } from './usage-plan-keys.controller.js';
import { UsagePlansController } from './usage-plans.controller.js';

/** The routes of the catalogue. */
@Module({
  imports: [CatalogModule],
  controllers: [
    ApisController,
    StagesController,
    UsagePlansController,
    UsagePlanKeysController,
    ApiKeysController,
  ],
})
export class CatalogApiModule {}
