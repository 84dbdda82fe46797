import { Body, Controller, Delete, Get, Headers, HttpCode, Param, Post, Put } from '@nestjs/common';
import { ApiBody, ApiNoContentResponse, ApiOkResponse } from '@nestjs/swagger';
import { RouteConfig } from '@nestjs/platform-fastify';
import type { Scope } from '@core/identity';
import {
  StripeConnectionsService,
  StripeDryRunService,
  StripeEventsService,
  StripePayoutsService,
} from '@io/billing';
import { given } from '@io/platform';
import { Allow, Caller, Public } from '../access/access.js';
import {
  connectionView,
  dryPushView,
  DryRunView,
  PayoutMatchView,
  payoutView,
  StripeConnectionBody,
  StripeConnectionView,
  StripeEventView,
} from './stripe.dto.js';

const EVENT_MAX = 1024 * 1024;

/** The Stripe account that collects for an account. */
@Controller('stripe')
export class StripeController {
  constructor(
    private readonly connections: StripeConnectionsService,
    private readonly dryRun: StripeDryRunService,
    private readonly events: StripeEventsService,
    private readonly payouts: StripePayoutsService,
  ) {}

  @Get()
  @Allow('read')
  @ApiOkResponse({ type: StripeConnectionView })
  async get(@Caller() scope: Scope): Promise<StripeConnectionView> {
    return connectionView(scope.accountId, await this.connections.get(scope));
  }

  /** Connects Stripe, or changes what is given. A key is asked at Stripe whose it is. */
  @Put()
  @Allow('accounts:write')
  @ApiOkResponse({ type: StripeConnectionView })
  async connect(
    @Caller() scope: Scope,
    @Body() body: StripeConnectionBody,
  ): Promise<StripeConnectionView> {
    return connectionView(scope.accountId, await this.connections.connect(scope, given(body)));
  }

  /** Forgets the key. Nothing is pushed any more; what is at Stripe stays there. */
  @Delete()
  @HttpCode(204)
  @Allow('accounts:write')
  @ApiNoContentResponse()
  disconnect(@Caller() scope: Scope): Promise<void> {
    return this.connections.disconnect(scope);
  }

  /** A dry run: final invoices that are not at Stripe, the oldest hundred, as they would be there. */
  @Get('unpushed-invoices')
  @Allow('read')
  @ApiOkResponse({ type: DryRunView })
  async unpushed(@Caller() scope: Scope): Promise<DryRunView> {
    return { items: (await this.dryRun.unpushed(scope)).map(dryPushView) };
  }

  /** Pushes one invoice, also where nothing is pushed by itself. Again, it changes nothing. */
  @Post('unpushed-invoices/:invoiceId/push')
  @HttpCode(204)
  @Allow('billing:write')
  @ApiNoContentResponse()
  push(@Caller() scope: Scope, @Param('invoiceId') invoiceId: string): Promise<void> {
    return this.dryRun.push(scope, invoiceId);
  }

  /** What came to the bank in a payout, line by line, against the payments that are booked here. */
  @Get('payouts/:payoutId')
  @Allow('read')
  @ApiOkResponse({ type: PayoutMatchView })
  async payout(
    @Caller() scope: Scope,
    @Param('payoutId') payoutId: string,
  ): Promise<PayoutMatchView> {
    return payoutView(await this.payouts.match(scope, payoutId));
  }

  /** Where Stripe posts its events: signed, kept once, and acted upon by the worker. */
  @Post('events/:accountId')
  @HttpCode(200)
  @Public()
  @RouteConfig({ rawBody: true, bodyMax: EVENT_MAX })
  @ApiBody({ schema: { type: 'object', description: 'An event as Stripe posts it.' } })
  @ApiOkResponse({ type: StripeEventView })
  take(
    @Param('accountId') accountId: string,
    @Headers('stripe-signature') signature: string | undefined,
    @Body() body: Buffer,
  ): Promise<StripeEventView> {
    return this.events.take(accountId, { body, signature });
  }
}
