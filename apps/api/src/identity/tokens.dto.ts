import { Id, Instant, ListOf, OneOf, PageQuery, parseInstant, Text } from '@io/platform';
import { ROLES } from '@core/identity';

const KINDS = ['operator', 'gateway', 'customer'];

export class CreateTokenDto {
  @Text()
  name: string;

  @Instant({ optional: true, nullable: true, description: 'Never, when left out.' })
  expiresAt?: string | null;
}

export class CreateOperatorTokenDto extends CreateTokenDto {
  @OneOf(ROLES)
  role: (typeof ROLES)[number];
}

/** Name and end of a new token as the domain takes them. */
export function toNewToken({ name, expiresAt }: CreateTokenDto) {
  return { name, expiresAt: expiresAt ? parseInstant(expiresAt) : null };
}

export class TokenView {
  @Id()
  id: string;

  @OneOf(KINDS)
  kind: string;

  @OneOf(ROLES, { nullable: true, description: 'Of an operator.' })
  role: string | null;

  @Id({ nullable: true })
  gatewayId: string | null;

  @Id({ nullable: true })
  customerId: string | null;

  @Text()
  name: string;

  @Text({ description: 'The end of the value, to recognise it by.' })
  lastFour: string;

  @Instant()
  createdAt: Date;

  @Instant({ nullable: true })
  expiresAt: Date | null;

  @Instant({ nullable: true })
  revokedAt: Date | null;
}

export class NewTokenView extends TokenView {
  @Text({ description: 'Shown here and nowhere else.' })
  value: string;
}

export class TokenPage {
  @ListOf(() => TokenView, { max: 500 })
  items: TokenView[];

  @Text({ optional: true })
  next?: string;
}

export class TokensQuery extends PageQuery {
  @OneOf(KINDS, { optional: true })
  kind?: string;
}
