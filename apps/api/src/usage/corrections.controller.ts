import { Body, Controller, Get, HttpCode, Param, Post, Query } from '@nestjs/common';
import { ApiOkResponse, ApiTags } from '@nestjs/swagger';
import type { Scope } from '@core/identity';
import { CorrectionsService } from '@io/metering';
import { Allow, Caller } from '../access/access.js';
import {
  CorrectionPage,
  CorrectionQuery,
  CorrectionView,
  CorrectUsageDto,
  DropCorrectionDto,
  MadeCorrectionsView,
} from './corrections.dto.js';

@ApiTags('Usage')
@Controller('usage/corrections')
export class CorrectionsController {
  constructor(private readonly corrections: CorrectionsService) {}

  /** What gateways and persons said of usage records, newest first. */
  @Get()
  @Allow('read')
  @ApiOkResponse({ type: CorrectionPage })
  async list(@Caller() scope: Scope, @Query() query: CorrectionQuery): Promise<CorrectionPage> {
    const { items, ...next } = await this.corrections.list(scope, query.toFilter(), query);
    return { items: items.map((one) => CorrectionView.from(one)), ...next };
  }

  @Get(':correctionId')
  @Allow('read')
  @ApiOkResponse({ type: CorrectionView })
  async get(
    @Caller() scope: Scope,
    @Param('correctionId') correctionId: string,
  ): Promise<CorrectionView> {
    return CorrectionView.from(await this.corrections.get(scope, correctionId));
  }

  /**
   * Makes records count other quantities, or nothing: all of them or none. The worker applies it within about a second. With `dryRun` it only says what that
   * changes.
   */
  @Post()
  @HttpCode(200)
  @Allow('billing:write')
  @ApiOkResponse({ type: MadeCorrectionsView })
  async make(@Caller() scope: Scope, @Body() body: CorrectUsageDto): Promise<MadeCorrectionsView> {
    const { corrections, reason, dryRun = false } = body;
    const made = await this.corrections.make(scope, corrections, { reason, isDryRun: dryRun });
    return MadeCorrectionsView.from(made, dryRun);
  }

  /** Gives up on a correction that waits for its record, so that invoices wait for it no longer. A second time changes nothing. */
  @Post(':correctionId/drop')
  @HttpCode(200)
  @Allow('billing:write')
  @ApiOkResponse({ type: CorrectionView })
  async drop(
    @Caller() scope: Scope,
    @Param('correctionId') correctionId: string,
    @Body() { reason }: DropCorrectionDto,
  ): Promise<CorrectionView> {
    return CorrectionView.from(await this.corrections.drop(scope, correctionId, reason));
  }
}
