import { Currency, Email, Id, Instant, ListOf, Text, Zone } from '@io/platform';

export class UpdateCustomerDto {
  @Text({ optional: true })
  name?: string;

  @Email({ optional: true, nullable: true })
  email?: string | null;

  @Text({ optional: true, nullable: true, description: 'As it stands on invoices.' })
  legalName?: string | null;

  @Text({ max: 1_024, optional: true, nullable: true })
  address?: string | null;

  @Text({ max: 64, optional: true, nullable: true })
  taxId?: string | null;

  @Currency({ optional: true, description: 'USD unless set.' })
  currency?: string;

  @Zone({ optional: true, description: 'UTC unless set.' })
  timezone?: string;
}

export class CreateCustomerDto extends UpdateCustomerDto {
  @Text()
  declare name: string;
}

export class CustomerView {
  @Id()
  id: string;

  @Text()
  name: string;

  @Email({ nullable: true })
  email: string | null;

  @Text({ nullable: true })
  legalName: string | null;

  @Text({ max: 1_024, nullable: true })
  address: string | null;

  @Text({ max: 64, nullable: true })
  taxId: string | null;

  @Currency()
  currency: string;

  @Zone()
  timezone: string;

  @Instant()
  createdAt: Date;

  @Instant()
  updatedAt: Date;
}

export class CustomerPage {
  @ListOf(() => CustomerView, { max: 500 })
  items: CustomerView[];

  @Text({ optional: true })
  next?: string;
}
