import { METERS, type Meter } from '@core/metering';
import { TOP_GROUPS, type TopGroup } from '@io/metering';
import { Id, Instant, Int, ListOf, OneOf, Quantity, QueryInt, Text } from '@io/platform';
import { UsageFilterQuery } from './usage-filter.dto.js';

const GROUPS = Object.keys(TOP_GROUPS);
const TOP_MAX = 1_000;

export class TopUsageQuery extends UsageFilterQuery {
  @Instant({ description: 'The first instant.' })
  from: string;

  @Instant({ description: 'The end, which is not included; at most 400 days after `from`.' })
  to: string;

  @OneOf(GROUPS, { description: 'What is ranked.' })
  by: TopGroup;

  @OneOf(METERS, { optional: true, description: 'By which meter; `calls` when left out.' })
  meter?: Meter;

  @QueryInt({ optional: true, min: 1, max: TOP_MAX, description: 'How many; 10 when left out.' })
  limit?: number;

  @Id({ optional: true })
  usagePlanId?: string;
}

/** One of those that used the most; which members there are is what `by` ranks. */
export class TopItemView {
  @Int({ min: 1, max: TOP_MAX })
  rank: number;

  @Id({ optional: true })
  customerId?: string;

  @Id({ optional: true })
  keyId?: string;

  @Text({ optional: true, min: 0, description: 'Empty for usage that no plan covered.' })
  usagePlanId?: string;

  @Id({ optional: true })
  apiId?: string;

  @Text({ optional: true })
  method?: string;

  @Text({ optional: true, max: 1_536 })
  resourcePath?: string;

  @Text({ optional: true })
  statusClass?: string;

  @Quantity()
  quantity: string;

  @Quantity({ description: 'Of the total, from 0 to 1, to six decimals.' })
  share: string;
}

export class TopUsageView {
  @OneOf(METERS)
  meter: string;

  @OneOf(GROUPS)
  by: string;

  @Quantity({ description: 'Of all, also of those that are not listed.' })
  total: string;

  @Int({ min: 0, max: 2_147_483_647, description: 'How many there are.' })
  groups: number;

  @ListOf(() => TopItemView, { max: TOP_MAX })
  items: TopItemView[];
}
