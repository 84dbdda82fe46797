import { INTERVALS } from '@core/metering';
import { GROUP_NAMES, type UsageItem } from '@io/metering';
import { Id, Instant, JsonObject, ListOf, OneOf, Quantity, Text, Zone } from '@io/platform';
import { UsageFilterQuery } from './usage-filter.dto.js';

const GROUP_LIST = new RegExp(`^(${GROUP_NAMES.join('|')})(,(${GROUP_NAMES.join('|')}))*$`);

/** What of the usage to answer, and how to part it. */
export class UsageQuery extends UsageFilterQuery {
  @Instant({ description: 'The first instant.' })
  from: string;

  @Instant({ description: 'The end, which is not included; at most 400 days after `from`.' })
  to: string;

  @OneOf(INTERVALS, { optional: true, description: 'How to part the time; `day` when left out.' })
  interval?: (typeof INTERVALS)[number];

  @Zone({ optional: true, description: 'Whose hours, days and months; UTC when left out.' })
  timezone?: string;

  @Text({
    optional: true,
    pattern: GROUP_LIST,
    patternSays: `be a comma-separated list of: ${GROUP_NAMES.join(', ')}`,
    description: 'What to tell apart besides the meter.',
    example: 'keyId,method',
  })
  groupBy?: string;

  @Text({ optional: true, max: 128 })
  method?: string;

  @Text({ optional: true, max: 1_536 })
  resourcePath?: string;

  @Text({ optional: true, max: 3 })
  statusClass?: string;

  @Id({ optional: true })
  usagePlanId?: string;

  @Text({ optional: true, max: 64 })
  meter?: string;
}

/** A meter's quantity in one part of the time. */
export class UsageItemView {
  @Instant()
  from: string;

  @Instant()
  to: string;

  @Text()
  meter: string;

  @Quantity()
  quantity: string;

  @Id({ optional: true })
  customerId?: string;

  @Id({ optional: true })
  keyId?: string;

  @Id({ optional: true })
  apiId?: string;

  @Text({ optional: true })
  stage?: string;

  @Text({ optional: true })
  method?: string;

  @Text({ optional: true, max: 1_536 })
  resourcePath?: string;

  @Text({ optional: true })
  statusClass?: string;

  @Text({ optional: true, min: 0, description: 'Empty when no plan covered the key there.' })
  usagePlanId?: string;

  @JsonObject({
    optional: true,
    description:
      "The dimensions of one of the account's own meters, by name; empty for the built-in ones.",
    example: { model: 'large' },
  })
  dimensions?: object;

  /** Without the groups that the usage says nothing of: an event may name no key, and has no method. */
  static from({ from, to, meter, quantity, dimensions, ...groups }: UsageItem): UsageItemView {
    const said = Object.entries(groups).filter(
      ([name, value]) => value !== '' || name === 'usagePlanId',
    );
    return {
      from: from.toISOString(),
      to: to.toISOString(),
      ...Object.fromEntries(said),
      meter,
      quantity,
      ...(dimensions === undefined ? {} : { dimensions: JSON.parse(dimensions) as object }),
    };
  }
}

export class UsageView {
  @ListOf(() => UsageItemView, { max: 10_000 })
  items: UsageItemView[];
}
