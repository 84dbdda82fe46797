import {
  Flag,
  Id,
  Instant,
  Int,
  JsonObject,
  ListOf,
  Nested,
  OneOf,
  PageQuery,
  parseInstant,
  Text,
  type Given,
} from '@io/platform';
import { ThrottleDto } from './throttle.dto.js';

const DESCRIPTION_MAX = 1_024;
const STAGES_MAX = 100;
const PERIODS = ['DAY', 'WEEK', 'MONTH'];
const ON_FAILURE = ['deny', 'allow'];
const OFFSET = 'The day a period starts: DAY 0, WEEK 0 to 6 from Sunday, MONTH 0 to 27.';

export class PlanStageDto {
  @Id()
  apiId: string;

  @Text({ max: 128 })
  stage: string;

  @JsonObject({
    optional: true,
    description: 'Throttles by method: {"/pets/GET": {"rateLimit": 5, "burstLimit": 10}}.',
  })
  throttle?: Record<string, unknown>;
}

export class QuotaDto {
  @Int({ min: 1, max: Number.MAX_SAFE_INTEGER, description: 'Calls per period.' })
  limit: number;

  @Int({ min: 0, max: 27, optional: true, description: `${OFFSET} 0 when left out.` })
  offset?: number;

  @OneOf(PERIODS)
  period: string;
}

export class UpdateUsagePlanDto {
  @Text({ optional: true })
  name?: string;

  @Text({ max: DESCRIPTION_MAX, optional: true, nullable: true })
  description?: string | null;

  @ListOf(() => PlanStageDto, { max: STAGES_MAX, optional: true })
  apiStages?: PlanStageDto[];

  @Nested(() => ThrottleDto, { optional: true, nullable: true, description: 'Of each key.' })
  throttle?: ThrottleDto | null;

  @Nested(() => QuotaDto, { optional: true, nullable: true, description: 'Of each key.' })
  quota?: QuotaDto | null;

  @Text({ optional: true, nullable: true, description: 'Of a product on AWS Marketplace.' })
  productCode?: string | null;

  @OneOf(ON_FAILURE, {
    optional: true,
    description: 'What happens when nobody can say what is left; deny unless set.',
  })
  onFailure?: string;

  @Flag({ optional: true, description: 'Decide and record, never refuse.' })
  shadow?: boolean;
}

export class CreateUsagePlanDto extends UpdateUsagePlanDto {
  @Text()
  declare name: string;
}

export class PlanStageView {
  @Id()
  apiId: string;

  @Text()
  stage: string;

  @JsonObject({ description: 'Throttles by method.' })
  throttle: Record<string, ThrottleDto>;
}

export class QuotaView {
  @Int({ min: 1, max: Number.MAX_SAFE_INTEGER })
  limit: number;

  @Int({ min: 0, max: 27, description: OFFSET })
  offset: number;

  @OneOf(PERIODS)
  period: string;
}

export class UsagePlanView {
  @Id()
  id: string;

  @Text()
  name: string;

  @Text({ nullable: true })
  description: string | null;

  @ListOf(() => PlanStageView, { max: STAGES_MAX })
  apiStages: PlanStageView[];

  @Nested(() => ThrottleDto, { nullable: true })
  throttle: ThrottleDto | null;

  @Nested(() => QuotaView, { nullable: true })
  quota: QuotaView | null;

  @Text({ nullable: true })
  productCode: string | null;

  @OneOf(ON_FAILURE)
  onFailure: string;

  @Flag()
  shadow: boolean;

  @Instant()
  createdAt: Date;

  @Instant()
  updatedAt: Date;
}

export class UsagePlanPage {
  @ListOf(() => UsagePlanView, { max: 500 })
  items: UsagePlanView[];

  @Text({ optional: true })
  next?: string;
}

export class UsagePlanQuery extends PageQuery {
  @Id({ optional: true, description: 'Only plans that hold this key.' })
  keyId?: string;
}

export class AddPlanKeyDto {
  @Id()
  keyId: string;
}

export class QuotaLimitDto {
  @Int({
    min: 1,
    max: Number.MAX_SAFE_INTEGER,
    description: "Calls per period of the plan's quota.",
  })
  limit: number;
}

export class BoostDto extends ThrottleDto {
  @Instant({ description: "In the account's own time." })
  until: string;
}

export class UpdatePlanKeyDto {
  @Nested(() => ThrottleDto, {
    optional: true,
    nullable: true,
    description: "Instead of the plan's; null: as the plan says.",
  })
  throttle?: ThrottleDto | null;

  @Nested(() => QuotaLimitDto, {
    optional: true,
    nullable: true,
    description: "Instead of the plan's limit; the period stays the plan's.",
  })
  quota?: QuotaLimitDto | null;

  @Nested(() => BoostDto, {
    optional: true,
    nullable: true,
    description: 'A throttle instead of either, until an instant.',
  })
  boost?: BoostDto | null;
}

/** The fields of a request as the domain takes them. */
export function toPlanKeySettings({ boost, ...rest }: Given<UpdatePlanKeyDto>) {
  if (boost === undefined) return rest;
  if (boost === null) return { ...rest, boost };
  const { rateLimit, burstLimit } = boost;
  const until = parseInstant(boost.until);
  return { ...rest, boost: until && { rateLimit, burstLimit, until } };
}

export class BoostView extends ThrottleDto {
  @Instant({ description: 'It has no effect from then on.' })
  until: Date;
}

export class UsagePlanKeyView {
  @Id()
  usagePlanId: string;

  @Id()
  keyId: string;

  @Text({ nullable: true })
  name: string | null;

  @Id()
  customerId: string;

  @Nested(() => ThrottleDto, { nullable: true, description: 'Null: as the plan says.' })
  throttle: ThrottleDto | null;

  @Nested(() => QuotaLimitDto, { nullable: true, description: 'Null: as the plan says.' })
  quota: QuotaLimitDto | null;

  @Nested(() => BoostView, { nullable: true })
  boost: BoostView | null;

  @Instant()
  createdAt: Date;

  @Instant()
  updatedAt: Date;
}

export class ExtendQuotaDto {
  @Int({ min: 1, max: 1e12, description: 'Calls on top of the limit, in the current period only.' })
  units: number;

  @Text({ max: 1_024, description: 'Why; it is shown and audited.' })
  reason: string;
}

export class QuotaExtensionView extends ExtendQuotaDto {
  @Id()
  id: string;

  @Id()
  usagePlanId: string;

  @Id()
  keyId: string;

  @Id({ description: 'The token that granted it.' })
  grantedBy: string;

  @Instant()
  periodFrom: Date;

  @Instant({ description: 'From then on it has no effect.' })
  periodTo: Date;

  @Instant()
  createdAt: Date;
}

export class QuotaExtensionPage {
  @ListOf(() => QuotaExtensionView, { max: 500 })
  items: QuotaExtensionView[];

  @Text({ optional: true })
  next?: string;
}

export class UsagePlanKeyPage {
  @ListOf(() => UsagePlanKeyView, { max: 500 })
  items: UsagePlanKeyView[];

  @Text({ optional: true })
  next?: string;
}
