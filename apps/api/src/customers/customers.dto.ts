import { Currency, Email, Id, Instant, Int, ListOf, Text, Zone } from '@io/platform';

const NET_TERMS_DAYS = {
  min: 0,
  max: 365,
  nullable: true,
  description:
    "Days to pay, where the subscription does not say; the issuer's or the account's when null. Counts for invoices that become final from now on.",
} as const;

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

  @Int({ ...NET_TERMS_DAYS, optional: true })
  netTermsDays?: number | null;
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

  @Int(NET_TERMS_DAYS)
  netTermsDays: number | null;

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
