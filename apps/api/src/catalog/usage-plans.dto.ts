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
  Text,
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

export class UsagePlanKeyView {
  @Id()
  usagePlanId: string;

  @Id()
  keyId: string;

  @Text({ nullable: true })
  name: string | null;

  @Id()
  customerId: string;

  @Instant()
  createdAt: Date;
}

export class UsagePlanKeyPage {
  @ListOf(() => UsagePlanKeyView, { max: 500 })
  items: UsagePlanKeyView[];

  @Text({ optional: true })
  next?: string;
}
