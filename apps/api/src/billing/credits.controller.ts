import { Body, Controller, Get, HttpCode, Param, Post, Put, Query } from '@nestjs/common';
import { ApiCreatedResponse, ApiOkResponse } from '@nestjs/swagger';
import type { Scope } from '@core/identity';
import { decimal } from '@core/kernel';
import { CreditsService, WalletsService } from '@io/billing';
import { Allow, AllowCustomersToo, Caller } from '../access/access.js';
import {
  CreateCreditGrantBody,
  creditBalancesView,
  CreditBalancesView,
  CreditEntryListView,
  CreditEntryQuery,
  creditEntryView,
  CreditGrantListView,
  CreditGrantQuery,
  CreditGrantView,
  creditGrantView,
  VoidCreditGrantBody,
  WalletBody,
  WalletView,
  walletView,
} from './credits.dto.js';

/** Credit that pays invoices before tax: what customers paid ahead, or were given. */
@Controller()
@AllowCustomersToo('read')
export class CreditsController {
  constructor(
    private readonly credits: CreditsService,
    private readonly wallets: WalletsService,
  ) {}

  @Post('customers/:customerId/credit-grants')
  @Allow('billing:write')
  @ApiCreatedResponse({ type: CreditGrantView })
  async grant(
    @Caller() scope: Scope,
    @Param('customerId') customerId: string,
    @Body() { amount, effectiveAt, expiresAt, ...body }: CreateCreditGrantBody,
  ) {
    const request = {
      ...body,
      amount: decimal(amount),
      ...(effectiveAt !== undefined && { effectiveAt: new Date(effectiveAt) }),
      ...(expiresAt !== undefined && { expiresAt: new Date(expiresAt) }),
    };
    return creditGrantView(await this.wallets.grant(scope, customerId, request));
  }

  @Get('customers/:customerId/credits')
  @ApiOkResponse({ type: CreditBalancesView })
  async balances(@Caller() scope: Scope, @Param('customerId') customerId: string) {
    return creditBalancesView(customerId, await this.credits.balances(scope, customerId));
  }

  @Put('customers/:customerId/wallets/:currency')
  @Allow('billing:write')
  @ApiOkResponse({ type: WalletView })
  async setWallet(
    @Caller() scope: Scope,
    @Param('customerId') customerId: string,
    @Param('currency') currency: string,
    @Body() { lowBalance = null, hardStop }: WalletBody,
  ) {
    const terms = { lowBalance: lowBalance === null ? null : decimal(lowBalance) };
    const wanted = { ...terms, isHardStop: hardStop };
    return walletView(await this.wallets.set(scope, { customerId, currency }, wanted));
  }

  @Get('customers/:customerId/wallets/:currency')
  @ApiOkResponse({ type: WalletView })
  async wallet(
    @Caller() scope: Scope,
    @Param('customerId') customerId: string,
    @Param('currency') currency: string,
  ) {
    return walletView(await this.wallets.get(scope, { customerId, currency }));
  }

  @Get('credit-grants')
  @ApiOkResponse({ type: CreditGrantListView })
  async list(
    @Caller() scope: Scope,
    @Query() { customerId, ...query }: CreditGrantQuery,
  ): Promise<CreditGrantListView> {
    const filter = customerId === undefined ? {} : { customerId };
    const { items, ...next } = await this.credits.list(scope, filter, query);
    return { items: items.map(creditGrantView), ...next };
  }

  @Get('credit-grants/:id')
  @ApiOkResponse({ type: CreditGrantView })
  async get(@Caller() scope: Scope, @Param('id') id: string) {
    return creditGrantView(await this.credits.get(scope, id));
  }

  @Post('credit-grants/:id/void')
  @HttpCode(200)
  @Allow('billing:write')
  @ApiOkResponse({ type: CreditGrantView })
  async void(
    @Caller() scope: Scope,
    @Param('id') id: string,
    @Body() { reason, restTo }: VoidCreditGrantBody,
  ) {
    const request = { reason, ...(restTo !== undefined && { restTo }) };
    return creditGrantView(await this.credits.void(scope, id, request));
  }

  @Get('credit-entries')
  @ApiOkResponse({ type: CreditEntryListView })
  async entries(
    @Caller() scope: Scope,
    @Query() { customerId, grantId, invoiceId, ...query }: CreditEntryQuery,
  ): Promise<CreditEntryListView> {
    const filter = {
      ...(customerId !== undefined && { customerId }),
      ...(grantId !== undefined && { grantId }),
      ...(invoiceId !== undefined && { invoiceId }),
    };
    const { items, ...next } = await this.credits.entries(scope, filter, query);
    return { items: items.map(creditEntryView), ...next };
  }
}
