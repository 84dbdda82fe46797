import { MISMATCH_KINDS, MISMATCHES_MAX, type ReconciledHour } from '@io/metering';
import { Flag, Id, Instant, Int, ListOf, OneOf, Quantity, Text, TextList } from '@io/platform';
import { UsageFilterQuery } from './usage-filter.dto.js';

export class ReconciliationQuery extends UsageFilterQuery {
  @Instant({ description: 'The first instant, a whole hour in UTC.' })
  from: string;

  @Instant({
    description: 'The end, which is not included, likewise; at most 31 days after `from`.',
  })
  to: string;

  @Text({ optional: true, max: 128 })
  method?: string;

  @Text({ optional: true, max: 1_536 })
  resourcePath?: string;
}

/** Calls of a key and method in an hour that were allowed and metered unequally often. */
export class MismatchView {
  @Instant({ description: 'When the hour began.' })
  hour: string;

  @Id()
  customerId: string;

  @Id()
  keyId: string;

  @Id()
  apiId: string;

  @Text()
  stage: string;

  @Text()
  method: string;

  @Text({ max: 1_536 })
  resourcePath: string;

  @Quantity()
  allowed: string;

  @Quantity()
  metered: string;

  @Quantity({ description: 'How many calls the one count is larger than the other.' })
  difference: string;

  @OneOf(MISMATCH_KINDS)
  kind: string;

  @Flag({ description: 'False until 15 minutes after the hour: counts may still be on their way.' })
  settled: boolean;

  static from({ hour, difference, ...of }: ReconciledHour): MismatchView {
    const view = { hour: hour.toISOString(), difference: difference.replace('-', '') };
    const { customerId, keyId, apiId, stage, method, resourcePath } = of;
    const { allowed, metered, kind, settled } = of;
    const name = { customerId, keyId, apiId, stage, method, resourcePath };
    return { ...view, ...name, allowed, metered, kind, settled };
  }
}

export const MISMATCH_COLUMNS = [
  'hour',
  'customerId',
  'keyId',
  'apiId',
  'stage',
  'method',
  'resourcePath',
  'allowed',
  'metered',
  'difference',
  'kind',
  'settled',
] as const satisfies (keyof MismatchView)[];

export class ReconciliationView {
  @Quantity({ description: 'All allowed calls of the time, also of hours that agree.' })
  allowed: string;

  @Quantity({ description: 'All metered calls, likewise.' })
  metered: string;

  @Int({
    min: 0,
    max: 2_147_483_647,
    description: 'How many keys, methods and hours differ, also those that are not listed.',
  })
  mismatches: number;

  @Instant({
    nullable: true,
    description:
      'From when on counts of allowed calls are kept. Hours before are left out of all numbers here; null: none is.',
  })
  keptFrom: string | null;

  @TextList({
    max: 10_000,
    itemMax: 64,
    description:
      'Gateways that decide in their own process at the moment. Their decisions are not counted, so the calls they meter show as never allowed.',
  })
  selfDeciding: string[];

  @ListOf(() => MismatchView, { max: MISMATCHES_MAX })
  items: MismatchView[];
}
