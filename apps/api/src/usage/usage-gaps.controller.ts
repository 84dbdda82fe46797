import { Body, Controller, Get, Post, Query } from '@nestjs/common';
import { ApiCreatedResponse, ApiOkResponse, ApiTags } from '@nestjs/swagger';
import type { Scope } from '@core/identity';
import { UsageGapsService } from '@io/metering';
import { Allow, Caller } from '../access/access.js';
import {
  GapWaiverPage,
  GapWaiverQuery,
  GapWaiverView,
  UsageGapsView,
  UsageGapView,
  WaiveGapDto,
} from './usage-gaps.dto.js';

@ApiTags('Usage')
@Controller('usage')
export class UsageGapsController {
  constructor(private readonly gaps: UsageGapsService) {}

  /** Batches that gateways numbered, that never came, and that nobody waived. */
  @Get('gaps')
  @Allow('read')
  @ApiOkResponse({ type: UsageGapsView })
  async open(@Caller() scope: Scope): Promise<UsageGapsView> {
    const gaps = await this.gaps.open(scope);
    return { items: gaps.map((gap) => UsageGapView.from(gap)) };
  }

  /** What was waived, newest first. */
  @Get('gap-waivers')
  @Allow('read')
  @ApiOkResponse({ type: GapWaiverPage })
  async waivers(@Caller() scope: Scope, @Query() query: GapWaiverQuery): Promise<GapWaiverPage> {
    const { items, ...next } = await this.gaps.waivers(scope, query);
    return { items: items.map((waiver) => GapWaiverView.from(waiver)), ...next };
  }

  /** Gives up on missing batches, so that invoices wait for them no longer. A second time changes nothing. */
  @Post('gap-waivers')
  @Allow('billing:write')
  @ApiCreatedResponse({ type: GapWaiverView })
  async waive(@Caller() scope: Scope, @Body() body: WaiveGapDto): Promise<GapWaiverView> {
    const { reason, ...numbers } = body;
    return GapWaiverView.from(await this.gaps.waive(scope, numbers, reason));
  }
}
