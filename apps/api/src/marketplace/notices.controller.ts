import { Body, Controller, HttpCode, Post } from '@nestjs/common';
import { RouteConfig } from '@nestjs/platform-fastify';
import { ApiBody, ApiOkResponse, ApiTags } from '@nestjs/swagger';
import type { Scope } from '@core/identity';
import { parsed } from '@core/marketplace';
import { LandingService, NoticesService } from '@io/marketplace';
import { InvalidRequest } from '@io/platform';
import { Allow, AllowCustomersToo, Caller } from '../access/access.js';
import { AgreementView } from './agreements.dto.js';
import { ClaimAgreementBody, NoticeOutcomeView } from './notices.dto.js';

@ApiTags('Marketplace')
@Controller('marketplace')
export class NoticesController {
  constructor(
    private readonly notices: NoticesService,
    private readonly landing: LandingService,
  ) {}

  /** Adds the agreement of a buyer who came from the marketplace to a customer who is there already. */
  @Post('claims')
  @HttpCode(200)
  @AllowCustomersToo('customers:write')
  @ApiOkResponse({ type: AgreementView })
  claim(@Caller() scope: Scope, @Body() { claim, customerId }: ClaimAgreementBody) {
    const of = scope.customerId ?? customerId;
    if (of === undefined)
      throw new InvalidRequest([{ pointer: '/customerId', detail: 'is required' }]);
    return this.landing.claim(scope, claim, of);
  }

  /** Takes an event of Amazon EventBridge, as its API destinations send them, of a product of the account. */
  @Post('events')
  @HttpCode(200)
  @RouteConfig({ rawBody: true })
  @Allow('billing:write')
  @ApiBody({ schema: { type: 'object', additionalProperties: true } })
  @ApiOkResponse({ type: NoticeOutcomeView })
  async event(@Caller() { accountId }: Scope, @Body() body: Buffer) {
    const text = body.toString('utf8');
    const event = parsed(text);
    if (typeof event !== 'object' || event === null || Array.isArray(event))
      throw new InvalidRequest([{ pointer: '', detail: 'must be a JSON object' }]);
    return { outcome: await this.notices.followEvent(text, event, accountId) };
  }
}
