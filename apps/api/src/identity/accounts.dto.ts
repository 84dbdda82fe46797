import { Flag, Id, Instant, ListOf, Nested, OneOf, Text } from '@io/platform';
import { ThrottleDto } from '../catalog/throttle.dto.js';

const MODES = ['live', 'test'];

export class CreateAccountDto {
  @Text()
  name: string;

  @OneOf(MODES, { description: 'Fixed for good. Only the clock of a test account can be moved.' })
  mode: string;
}

export class UpdateAccountDto {
  @Text({ optional: true })
  name?: string;

  @Nested(() => ThrottleDto, { optional: true, description: 'Of all calls of the account.' })
  throttle?: ThrottleDto;

  @Flag({ optional: true, description: 'Whether new api keys can be shown again.' })
  keepsKeyValues?: boolean;

  @Text({ optional: true, nullable: true })
  legalName?: string | null;

  @Text({ max: 1_024, optional: true, nullable: true })
  address?: string | null;

  @Text({ max: 64, optional: true, nullable: true })
  taxId?: string | null;
}

export class AccountView {
  @Id()
  id: string;

  @Text()
  name: string;

  @OneOf(MODES)
  mode: string;

  @Flag()
  isDefault: boolean;

  @Nested(() => ThrottleDto)
  throttle: ThrottleDto;

  @Flag()
  keepsKeyValues: boolean;

  @Text({ nullable: true })
  legalName: string | null;

  @Text({ nullable: true, max: 1_024 })
  address: string | null;

  @Text({ nullable: true })
  taxId: string | null;

  @Instant()
  createdAt: Date;

  @Instant()
  updatedAt: Date;
}

export class NewAccountView extends AccountView {
  @Text({ description: 'Its first owner token, shown here and nowhere else.' })
  token: string;
}

export class AccountPage {
  @ListOf(() => AccountView, { max: 500 })
  items: AccountView[];

  @Text({ optional: true })
  next?: string;
}
