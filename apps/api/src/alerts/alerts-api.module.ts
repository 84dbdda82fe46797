import { Module } from '@nestjs/common';
import { MeteringModule } from '@io/metering';
import { AlertRulesController } from './alert-rules.controller.js';

/** The routes of alerts. */
@Module({ imports: [MeteringModule], controllers: [AlertRulesController] })
export class AlertsApiModule {}
