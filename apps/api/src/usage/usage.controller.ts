import { Controller, Get, Headers, Query, Res } from '@nestjs/common';
import { ApiOkResponse, ApiProduces } from '@nestjs/swagger';
import type { Scope } from '@core/identity';
import { GROUP_NAMES, UsageService, type UsageGroup } from '@io/metering';
import type { FastifyReply } from 'fastify';
import { AllowCustomersToo, Caller } from '../access/access.js';
import { usageCsv } from './usage-csv.js';
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
    const format = query.format ?? (accept?.startsWith('text/csv') ? 'csv' : 'json');
    if (format === 'json') return { items };
    reply.type('text/csv; charset=utf-8');
    reply.header('Content-Disposition', 'attachment; filename="usage.csv"');
    return usageCsv(items, groupBy);
  }
}

/** The groups that were asked for, each once; the query's check has let no other name through. */
function groupsOf({ groupBy }: UsageQuery): UsageGroup[] {
  const names = new Set(groupBy?.split(','));
  return GROUP_NAMES.filter((name) => names.has(name));
}

function filterOf(query: UsageQuery): Partial<Record<UsageGroup, string>> {
  const { customerId, keyId, apiId, stage, method, meter } = query;
  const filter = { customerId, keyId, apiId, stage, method, meter };
  return Object.fromEntries(Object.entries(filter).filter(([, value]) => value !== undefined));
}
