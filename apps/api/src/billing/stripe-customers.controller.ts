import { Body, Controller, Get, HttpCode, Param, Post, Put } from '@nestjs/common';
import { ApiOkResponse } from '@nestjs/swagger';
import type { Scope } from '@core/identity';
import { StripeCustomersService } from '@io/billing';
import { given } from '@io/platform';
import { Allow, AllowCustomersToo, Caller } from '../access/access.js';
import {
  customerView,
  PortalSessionBody,
  SetupSessionBody,
  StripeCustomerBody,
  StripeCustomerView,
  StripeSessionView,
} from './stripe.dto.js';

/** Who a customer is at Stripe, and the pages of Stripe that a customer is sent to. */
@Controller('customers/:customerId/stripe')
export class StripeCustomersController {
  constructor(private readonly customers: StripeCustomersService) {}

  @Get()
  @AllowCustomersToo('read')
  @ApiOkResponse({ type: StripeCustomerView })
  async get(
    @Caller() scope: Scope,
    @Param('customerId') customerId: string,
  ): Promise<StripeCustomerView> {
    return customerView(await this.customers.get(scope, customerId));
  }

  /** Makes the customer at Stripe, or says which of those there it is. */
  @Put()
  @Allow('billing:write')
  @ApiOkResponse({ type: StripeCustomerView })
  async connect(
    @Caller() scope: Scope,
    @Param('customerId') customerId: string,
    @Body() body: StripeCustomerBody,
  ): Promise<StripeCustomerView> {
    return customerView(await this.customers.connect(scope, customerId, given(body)));
  }

  /** A page of Stripe on which the customer enters a card. */
  @Post('setup-sessions')
  @HttpCode(200)
  @AllowCustomersToo('billing:write')
  @ApiOkResponse({ type: StripeSessionView })
  setup(
    @Caller() scope: Scope,
    @Param('customerId') customerId: string,
    @Body() body: SetupSessionBody,
  ): Promise<StripeSessionView> {
    return this.customers.setupSession(scope, customerId, body);
  }

  /** A page of Stripe on which the customer looks after cards and sees invoices. */
  @Post('portal-sessions')
  @HttpCode(200)
  @AllowCustomersToo('billing:write')
  @ApiOkResponse({ type: StripeSessionView })
  portal(
    @Caller() scope: Scope,
    @Param('customerId') customerId: string,
    @Body() { returnUrl }: PortalSessionBody,
  ): Promise<StripeSessionView> {
    return this.customers.portalSession(scope, customerId, returnUrl);
  }
}
