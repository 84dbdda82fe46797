import { Controller, Get, Headers, Query, Res } from '@nestjs/common';
import { ApiOkResponse, ApiProduces } from '@nestjs/swagger';
import type { Scope } from '@core/identity';
import { GROUP_NAMES, TOP_GROUPS, UsageService, type UsageGroup } from '@io/metering';
import type { FastifyReply } from 'fastify';
import { AllowCustomersToo, Caller } from '../access/access.js';
import { TopUsageQuery, TopUsageView } from './top-usage.dto.js';
import { sendCsv, usageColumns, wantsCsv } from './usage-csv.js';
import { UsageItemView, UsageQuery, UsageView } from './usage.dto.js';

@Controller('usage')
export class UsageController {
  constructor(private readonly usage: UsageService) {}

  /** What was used and is rolled up, by part of the time. A customer sees their own. */
  @Get()
  @AllowCustomersToo('read')
  @ApiProduces('application/json', 'text/csv')
  @ApiOkResponse({ type: UsageView })
  async read(
    @Caller() scope: Scope,
    @Query() query: UsageQuery,
    @Headers('accept') accept: string | undefined,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<UsageView | string> {
    const groupBy = groupsOf(query);
    const found = await this.usage.read(scope, {
      period: { from: new Date(query.from), to: new Date(query.to) },
      interval: query.interval ?? 'day',
      timezone: query.timezone ?? 'UTC',
      filter: filterOf(query),
      groupBy,
    });
    const items = found.map((item) => UsageItemView.from(item));
    if (!wantsCsv({ format: query.format, accept })) return { items };
    return sendCsv(reply, 'usage', { items, columns: usageColumns(groupBy) });
  }

  /** The keys, customers, methods and so on that used the most in a time, each with its share of all. A customer sees their own. */
  @Get('top')
  @AllowCustomersToo('read')
  @ApiProduces('application/json', 'text/csv')
  @ApiOkResponse({ type: TopUsageView })
  async top(
    @Caller() scope: Scope,
    @Query() query: TopUsageQuery,
    @Headers('accept') accept: string | undefined,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<TopUsageView | string> {
    const { from, to, by, meter = 'calls', limit = 10, format } = query;
    const top = await this.usage.top(scope, {
      period: { from: new Date(from), to: new Date(to) },
      by,
      meter,
      limit,
      filter: filterOf(query),
    });
    if (!wantsCsv({ format, accept })) return { meter, by, ...top, items: [...top.items] };
    const columns = ['rank', ...TOP_GROUPS[by], 'quantity', 'share'];
    return sendCsv(reply, `top-${by}`, { items: top.items, columns });
  }
}

/** The groups that were asked for, each once; the query's check has let no other name through. */
function groupsOf({ groupBy }: UsageQuery): UsageGroup[] {
  const names = new Set(groupBy?.split(','));
  return GROUP_NAMES.filter((name) => names.has(name));
}

/** The members of a query that name groups. */
function filterOf(query: UsageQuery | TopUsageQuery): Partial<Record<UsageGroup, string>> {
  const asked = query as Partial<Record<UsageGroup, string>>;
  return Object.fromEntries(
    GROUP_NAMES.flatMap((name) => (asked[name] === undefined ? [] : [[name, asked[name]]])),
  );
}
