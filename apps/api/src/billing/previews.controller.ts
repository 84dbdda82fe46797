import { Body, Controller, HttpCode, Post } from '@nestjs/common';
import { ApiBody, ApiOkResponse } from '@nestjs/swagger';
import { previewBillingPeriod, type PeriodJson } from '@core/billing';
import { previewPrice, type PricePreview, type PriceStepsPreview } from '@core/pricing';
import { Allow } from '../access/access.js';
import {
  PeriodView,
  PreviewPeriodBody,
  PreviewPriceBody,
  PricePreviewView,
} from './previews.dto.js';

/** What a price or a rule would give, for pages and for finance. Stores nothing. */
@Controller()
@Allow('read')
export class PreviewsController {
  @Post('prices/preview')
  @HttpCode(200)
  @ApiBody({ type: PreviewPriceBody })
  @ApiOkResponse({ type: PricePreviewView })
  price(@Body() body: unknown): PricePreview | PriceStepsPreview {
    return previewPrice(body);
  }

  @Post('billing-periods/preview')
  @HttpCode(200)
  @ApiBody({ type: PreviewPeriodBody })
  @ApiOkResponse({ type: PeriodView })
  billingPeriod(@Body() body: unknown): PeriodJson {
    return previewBillingPeriod(body);
  }
}
