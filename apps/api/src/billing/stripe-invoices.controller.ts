import { Controller, Get, Param } from '@nestjs/common';
import { ApiOkResponse } from '@nestjs/swagger';
import type { Scope } from '@core/identity';
import { StripeInvoicesService } from '@io/billing';
import { AllowCustomersToo, Caller } from '../access/access.js';
import { StripeInvoiceView, stripeInvoiceView } from './stripe.dto.js';

/** How an invoice stands at Stripe. */
@Controller('invoices/:id/stripe')
export class StripeInvoicesController {
  constructor(private readonly invoices: StripeInvoicesService) {}

  /** Where it can be paid, why its money could not be taken, and whether it is disputed; 404 when it is not at Stripe. */
  @Get()
  @AllowCustomersToo('read')
  @ApiOkResponse({ type: StripeInvoiceView })
  async get(@Caller() scope: Scope, @Param('id') id: string): Promise<StripeInvoiceView> {
    return stripeInvoiceView(await this.invoices.get(scope, id));
  }
}
