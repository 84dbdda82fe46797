import { Id, Instant, JsonObject, ListOf, Nested, Text } from '@io/platform';
import { ThrottleDto } from './throttle.dto.js';

const DESCRIPTION_MAX = 1_024;
const METHOD_THROTTLES =
  'Throttles by method: {"/pets/{petId}/GET": {"rateLimit": 5, "burstLimit": 10}}; the root\'s is "//GET".';

export class CreateStageDto {
  @Text({
    max: 128,
    pattern: /^(\$default|[A-Za-z0-9_-]+)$/,
    patternSays: 'have letters, digits, "-" and "_" only, or be "$default"',
  })
  name: string;

  @Text({ max: DESCRIPTION_MAX, optional: true, nullable: true })
  description?: string | null;

  @Nested(() => ThrottleDto, {
    optional: true,
    nullable: true,
    description: 'Of each method that has none of its own.',
  })
  throttle?: ThrottleDto | null;

  @JsonObject({ optional: true, description: METHOD_THROTTLES })
  methodThrottles?: Record<string, unknown>;
}

export class UpdateStageDto {
  @Text({ max: DESCRIPTION_MAX, optional: true, nullable: true })
  description?: string | null;

  @Nested(() => ThrottleDto, { optional: true, nullable: true })
  throttle?: ThrottleDto | null;

  @JsonObject({ optional: true, description: `${METHOD_THROTTLES} Replaces all of them.` })
  methodThrottles?: Record<string, unknown>;
}

export class StageView {
  @Id()
  apiId: string;

  @Text()
  name: string;

  @Text({ nullable: true })
  description: string | null;

  @Nested(() => ThrottleDto, { nullable: true })
  throttle: ThrottleDto | null;

  @JsonObject({ description: METHOD_THROTTLES })
  methodThrottles: Record<string, ThrottleDto>;

  @Instant()
  createdAt: Date;

  @Instant()
  updatedAt: Date;
}

export class StagePage {
  @ListOf(() => StageView, { max: 500 })
  items: StageView[];

  @Text({ optional: true })
  next?: string;
}
