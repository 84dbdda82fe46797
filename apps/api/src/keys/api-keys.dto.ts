import {
  Flag,
  Id,
  Instant,
  Int,
  ListOf,
  Nested,
  PageQuery,
  parseInstant,
  QueryFlag,
  Text,
} from '@io/platform';
import { IpPolicyDto } from '../catalog/ip-policy.dto.js';

const NAME_MAX = 1_024;
const DESCRIPTION_MAX = 125_000;
const OVERLAP_SECONDS_MAX = 90 * 86_400;
const BROUGHT_ALONG = {
  min: 20,
  max: 128,
  pattern: /^[\x21-\x7e]+$/,
  patternSays: 'have visible ASCII characters only',
  optional: true,
  description: 'A key brought along from elsewhere; one is made when it is left out.',
};

export class UpdateApiKeyDto {
  @Text({ max: NAME_MAX, optional: true, nullable: true })
  name?: string | null;

  @Text({ max: DESCRIPTION_MAX, optional: true, nullable: true })
  description?: string | null;

  @Flag({ optional: true })
  enabled?: boolean;

  @Instant({ optional: true, nullable: true })
  expiresAt?: string | null;

  @Nested(() => IpPolicyDto, {
    optional: true,
    nullable: true,
    description: 'Addresses and CIDR blocks that may use the key.',
  })
  ipPolicy?: IpPolicyDto | null;
}

export class CreateApiKeyDto extends UpdateApiKeyDto {
  @Id()
  customerId: string;

  @Text(BROUGHT_ALONG)
  value?: string;
}

export class RotateApiKeyDto {
  @Int({
    min: 0,
    max: OVERLAP_SECONDS_MAX,
    description:
      'How long the values before this one still pass, in seconds; 0 ends them at once. Never longer than was said before.',
  })
  overlapSeconds: number;

  @Text(BROUGHT_ALONG)
  value?: string;
}

/** The fields of a request as the domain takes them. */
export function toSettings<T extends { expiresAt?: string | null }>({ expiresAt, ...rest }: T) {
  return {
    ...rest,
    ...(expiresAt === undefined
      ? {}
      : { expiresAt: expiresAt === null ? null : parseInstant(expiresAt) }),
  };
}

export class ApiKeyView {
  @Id()
  id: string;

  @Id()
  customerId: string;

  @Text({ nullable: true, max: NAME_MAX })
  name: string | null;

  @Text({ nullable: true, max: DESCRIPTION_MAX })
  description: string | null;

  @Flag()
  enabled: boolean;

  @Instant({ nullable: true })
  expiresAt: Date | null;

  @Nested(() => IpPolicyDto, { nullable: true })
  ipPolicy: IpPolicyDto | null;

  @Text({ description: 'The end of the value, to recognise it by.' })
  lastFour: string;

  @Instant()
  createdAt: Date;

  @Instant()
  updatedAt: Date;

  @Text({
    optional: true,
    nullable: true,
    description: 'With includeValue only; null where the account keeps no values.',
  })
  value?: string | null;
}

export class NewApiKeyView extends ApiKeyView {
  @Text({ description: 'Shown here; where the account keeps no values, nowhere else.' })
  declare value: string;
}

export class RotatedApiKeyView extends NewApiKeyView {
  @Instant({ description: 'Until when the values before this one pass, at the latest.' })
  previousExpiresAt: Date;
}

export class ApiKeyPage {
  @ListOf(() => ApiKeyView, { max: 500 })
  items: ApiKeyView[];

  @Text({ optional: true })
  next?: string;
}

export class ApiKeysQuery extends PageQuery {
  @Id({ optional: true })
  customerId?: string;

  @Text({ max: NAME_MAX, optional: true, description: 'How the name starts.' })
  name?: string;
}

export class ApiKeyQuery {
  @QueryFlag({
    optional: true,
    description: 'Show the value too; for operators that may write keys.',
  })
  includeValue?: boolean;
}
