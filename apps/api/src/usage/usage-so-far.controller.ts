import { Controller, Get, Headers, Param, Query, Res } from '@nestjs/common';
import { ApiOkResponse, ApiProduces, ApiTags } from '@nestjs/swagger';
import type { Scope } from '@core/identity';
import { UsageSoFarService } from '@io/metering';
import type { FastifyReply } from 'fastify';
import { AllowCustomersToo, Caller } from '../access/access.js';
import { sendCsv, wantsCsv } from './usage-csv.js';
import {
  KeySoFarView,
  QUOTA_COLUMNS,
  QuotaStandingsQuery,
  QuotaStandingsView,
  QuotaStandingView,
} from './usage-so-far.dto.js';

@ApiTags('Usage')
@Controller()
export class UsageSoFarController {
  constructor(private readonly soFar: UsageSoFarService) {}

  /** How much of their quotas keys have used, the fullest first. A customer sees their own. */
  @Get('usage/quotas')
  @AllowCustomersToo('read')
  @ApiProduces('application/json', 'text/csv')
  @ApiOkResponse({ type: QuotaStandingsView })
  async quotas(
    @Caller() scope: Scope,
    @Query() { at, limit = 100, format, ...asked }: QuotaStandingsQuery,
    @Headers('accept') accept: string | undefined,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<QuotaStandingsView | string> {
    const when = { at: at === undefined ? undefined : new Date(at), limit };
    const standings = await this.soFar.quotaStandings(scope, asked, when);
    const items = standings.map((standing) => QuotaStandingView.from(standing));
    if (!wantsCsv({ format, accept })) return { items };
    return sendCsv(reply, 'quotas', { items, columns: QUOTA_COLUMNS });
  }

  /**
   * What a key used since the period of each of its plans began: its quota, and all usage that was acknowledged, rolled up
   * or not.
   */
  @Get('api-keys/:keyId/usage-so-far')
  @AllowCustomersToo('read')
  @ApiOkResponse({ type: KeySoFarView })
  async ofKey(@Caller() scope: Scope, @Param('keyId') keyId: string): Promise<KeySoFarView> {
    return KeySoFarView.from(await this.soFar.ofKey(scope, keyId));
  }
}
