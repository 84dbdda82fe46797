import { Body, Controller, Delete, Get, HttpCode, Param, Post, Put, Query } from '@nestjs/common';
import { ApiCreatedResponse, ApiNoContentResponse, ApiOkResponse } from '@nestjs/swagger';
import type { Scope } from '@core/identity';
import { BlocksService, DunningService } from '@io/billing';
import { Allow, AllowCustomersToo, Caller } from '../access/access.js';
import {
  BlockCustomerBody,
  BlockQuery,
  CustomerBlockListView,
  CustomerBlockView,
  customerBlockView,
  DunningScheduleBody,
  DunningScheduleView,
  OverdueInvoiceListView,
  overdueInvoiceView,
} from './dunning.dto.js';

/** What is done about invoices that are not paid, and customers whose calls are refused. */
@Controller()
export class DunningController {
  constructor(
    private readonly dunning: DunningService,
    private readonly blocks: BlocksService,
  ) {}

  @Get('dunning-schedule')
  @Allow('read')
  @ApiOkResponse({ type: DunningScheduleView })
  async schedule(@Caller() scope: Scope): Promise<DunningScheduleView> {
    return { steps: await this.dunning.schedule(scope) };
  }

  @Put('dunning-schedule')
  @Allow('billing:write')
  @ApiOkResponse({ type: DunningScheduleView })
  async setSchedule(
    @Caller() scope: Scope,
    @Body() { steps }: DunningScheduleBody,
  ): Promise<DunningScheduleView> {
    const plain = steps.map(({ afterDays, action }) => ({ afterDays, action }));
    return { steps: await this.dunning.setSchedule(scope, plain) };
  }

  @Get('overdue-invoices')
  @Allow('read')
  @ApiOkResponse({ type: OverdueInvoiceListView })
  async overdue(
    @Caller() scope: Scope,
    @Query() { customerId, ...query }: BlockQuery,
  ): Promise<OverdueInvoiceListView> {
    const filter = customerId === undefined ? {} : { customerId };
    const { items, ...next } = await this.dunning.overdue(scope, filter, query);
    return { items: items.map(overdueInvoiceView), ...next };
  }

  @Get('customer-blocks')
  @AllowCustomersToo('read')
  @ApiOkResponse({ type: CustomerBlockListView })
  async list(
    @Caller() scope: Scope,
    @Query() { customerId, ...query }: BlockQuery,
  ): Promise<CustomerBlockListView> {
    const filter = customerId === undefined ? {} : { customerId };
    const { items, ...next } = await this.blocks.list(scope, filter, query);
    return { items: items.map(customerBlockView), ...next };
  }

  @Post('customers/:customerId/blocks')
  @Allow('customers:write')
  @ApiCreatedResponse({ type: CustomerBlockView })
  async block(
    @Caller() scope: Scope,
    @Param('customerId') customerId: string,
    @Body() { note }: BlockCustomerBody,
  ) {
    return customerBlockView(await this.blocks.block(scope, customerId, note));
  }

  @Delete('customer-blocks/:blockId')
  @HttpCode(204)
  @Allow('customers:write')
  @ApiNoContentResponse()
  lift(@Caller() scope: Scope, @Param('blockId') blockId: string) {
    return this.blocks.lift(scope, blockId);
  }
}
