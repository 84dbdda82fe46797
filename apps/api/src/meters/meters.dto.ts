import { AGGREGATIONS, meterDefinitionJson, type Aggregation } from '@core/metering';
import type { BuiltInMeter, StoredMeter } from '@io/metering';
import { Flag, Instant, JsonList, JsonObject, ListOf, OneOf, Text } from '@io/platform';

const PATH = {
  max: 256,
  description:
    'A singular query of RFC 9535 into the event in its JSON format: `$.data.tokens`, `$.source`. None for `count`.',
  example: '$.data.tokens',
};
const FILTER = {
  max: 8,
  description:
    'Conditions that must all hold: the value at `path` is one of `anyOf`, of the same type.',
  example: [{ path: '$.data.model', anyOf: ['small', 'large'] }],
};
const GROUP_BY = {
  description: 'Up to four dimensions by name: the path of each. What is missing is empty.',
  example: { model: '$.data.model' },
};

/** What may be changed; all but `description` and `isActive` only until the meter has counted an event. */
export class UpdateMeterBody {
  @Text({ optional: true, nullable: true })
  description?: string | null;

  @Flag({ optional: true, description: 'An inactive meter counts no event that comes in.' })
  isActive?: boolean;

  @OneOf(AGGREGATIONS, {
    optional: true,
    description: 'How one quantity of a period is made of its events.',
  })
  aggregation?: Aggregation;

  @Text({ optional: true, description: 'The `type` of the events that are counted.' })
  eventType?: string;

  @Text({ ...PATH, optional: true, nullable: true })
  valuePath?: string | null;

  @JsonList({ ...FILTER, optional: true })
  filter?: object[];

  @JsonObject({ ...GROUP_BY, optional: true })
  groupBy?: object;
}

export class CreateMeterBody {
  @Text({ max: 64, description: 'Also its id. Lower-case letters, digits, dots and hyphens.' })
  name: string;

  @Text({ optional: true, nullable: true })
  description?: string | null;

  @OneOf(AGGREGATIONS, { description: 'How one quantity of a period is made of its events.' })
  aggregation: Aggregation;

  @Text({ description: 'The `type` of the events that are counted.', example: 'com.example.chat' })
  eventType: string;

  @Text({ ...PATH, optional: true, nullable: true })
  valuePath?: string | null;

  @JsonList({ ...FILTER, optional: true })
  filter?: object[];

  @JsonObject({ ...GROUP_BY, optional: true })
  groupBy?: object;
}

/** A meter; a built-in one has no definition, since gateways report its quantities. */
export class MeterView {
  @Text({ max: 64 })
  name: string;

  @Flag({ description: 'Every account has it, and nobody changes it.' })
  isBuiltIn: boolean;

  @Flag()
  isActive: boolean;

  @Text({ optional: true, nullable: true })
  description?: string | null;

  @OneOf(AGGREGATIONS, { optional: true })
  aggregation?: Aggregation;

  @Text({ optional: true })
  eventType?: string;

  @Text({ ...PATH, optional: true, nullable: true })
  valuePath?: string | null;

  @JsonList({ ...FILTER, optional: true })
  filter?: object[];

  @JsonObject({ ...GROUP_BY, optional: true })
  groupBy?: object;

  @Instant({
    optional: true,
    nullable: true,
    description: 'When it was first given an event to count; its definition never changes since.',
  })
  usedAt?: Date | null;

  @Instant({ optional: true })
  createdAt?: Date;

  @Instant({ optional: true })
  updatedAt?: Date;

  static from(meter: StoredMeter | BuiltInMeter): MeterView {
    const { name } = meter;
    if (!('eventType' in meter)) return { name, isBuiltIn: true, isActive: true };
    const { description, isActive, usedAt, createdAt, updatedAt } = meter;
    const kept = { name, isBuiltIn: false, isActive, description, usedAt, createdAt, updatedAt };
    return { ...kept, ...meterDefinitionJson(meter) };
  }
}

export class MeterListView {
  @ListOf(() => MeterView, { max: 300, description: 'The built-in ones first.' })
  items: MeterView[];
}
