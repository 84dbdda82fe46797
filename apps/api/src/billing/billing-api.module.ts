import { Module } from '@nestjs/common';
import { PreviewsController } from './previews.controller.js';

/** Rate cards, subscriptions, invoices and previews over HTTP. */
@Module({ controllers: [PreviewsController] })
export class BillingApiModule {}
