import { Module } from '@nestjs/common';
import { ApiKeysRepository } from './api-keys.repository.js';
import { ApiKeysService } from './api-keys.service.js';
import { ApisRepository } from './apis.repository.js';
import { ApisService } from './apis.service.js';
import { KeyOverridesService } from './key-overrides.service.js';
import { QuotaExtensionsRepository } from './quota-extensions.repository.js';
import { StagesRepository } from './stages.repository.js';
import { StagesService } from './stages.service.js';
import { UsagePlanKeysRepository } from './usage-plan-keys.repository.js';
import { UsagePlanKeysService } from './usage-plan-keys.service.js';
import { UsagePlansRepository } from './usage-plans.repository.js';
import { UsagePlansService } from './usage-plans.service.js';

@Module({
  providers: [
    ApiKeysRepository,
    ApiKeysService,
    ApisRepository,
    ApisService,
    KeyOverridesService,
    QuotaExtensionsRepository,
    StagesRepository,
    StagesService,
    UsagePlanKeysRepository,
    UsagePlanKeysService,
    UsagePlansRepository,
    UsagePlansService,
  ],
  exports: [
    ApiKeysService,
    ApisService,
    KeyOverridesService,
    StagesService,
    UsagePlanKeysService,
    UsagePlansService,
  ],
})
export class CatalogModule {}
