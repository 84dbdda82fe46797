import { Body, Controller, HttpCode, Param, Post } from '@nestjs/common';
import { ApiOkResponse } from '@nestjs/swagger';
import type { Scope } from '@core/identity';
import { PreviewsService, SubscriptionChangesService } from '@io/billing';
import { Allow, Caller } from '../access/access.js';
import { periodPreviewView } from './invoices.dto.js';
import {
  CancelSubscriptionBody,
  ChangePreviewView,
  ChangeSubscriptionBody,
  PauseSubscriptionBody,
  readChangeInstant,
  ResumeSubscriptionBody,
} from './subscription-changes.dto.js';
import { SubscriptionView, subscriptionView } from './subscriptions.dto.js';

/** What happens to a subscription after it began. Each act changes nothing when it is asked for again. */
@Controller('subscriptions/:id')
@Allow('billing:write')
export class SubscriptionChangesController {
  constructor(
    private readonly changes: SubscriptionChangesService,
    private readonly previews: PreviewsService,
  ) {}

  @Post('changes')
  @HttpCode(200)
  @ApiOkResponse({ type: SubscriptionView })
  async change(
    @Caller() scope: Scope,
    @Param('id') id: string,
    @Body() { at, ...change }: ChangeSubscriptionBody,
  ) {
    const when = { at: readChangeInstant(at, 'now') };
    return subscriptionView(await this.changes.change(scope, id, { ...change, ...when }));
  }

  @Post('changes/preview')
  @HttpCode(200)
  @ApiOkResponse({ type: ChangePreviewView })
  async preview(
    @Caller() scope: Scope,
    @Param('id') id: string,
    @Body() { at, ...change }: ChangeSubscriptionBody,
  ): Promise<ChangePreviewView> {
    const when = { at: readChangeInstant(at, 'now') };
    const previewed = await this.previews.change(scope, id, { ...change, ...when });
    return {
      at: previewed.at.toISOString(),
      isChange: previewed.isChange,
      before: periodPreviewView(id, previewed.before),
      after: periodPreviewView(id, previewed.after),
    };
  }

  @Post('pause')
  @HttpCode(200)
  @ApiOkResponse({ type: SubscriptionView })
  async pause(
    @Caller() scope: Scope,
    @Param('id') id: string,
    @Body() { at, until }: PauseSubscriptionBody,
  ) {
    const when = {
      at: readChangeInstant(at, 'now'),
      until: until === undefined ? null : new Date(until),
    };
    return subscriptionView(await this.changes.pause(scope, id, when));
  }

  @Post('resume')
  @HttpCode(200)
  @ApiOkResponse({ type: SubscriptionView })
  async resume(
    @Caller() scope: Scope,
    @Param('id') id: string,
    @Body() { at }: ResumeSubscriptionBody,
  ) {
    const when = { at: readChangeInstant(at, 'now') };
    return subscriptionView(await this.changes.resume(scope, id, when));
  }

  @Post('cancel')
  @HttpCode(200)
  @ApiOkResponse({ type: SubscriptionView })
  async cancel(
    @Caller() scope: Scope,
    @Param('id') id: string,
    @Body() { at }: CancelSubscriptionBody,
  ) {
    const when = { at: readChangeInstant(at, 'period-end') };
    return subscriptionView(await this.changes.cancel(scope, id, when));
  }
}
