import { randomBytes } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import { prefixedId } from '@core/kernel';
import type { Scope } from '@core/identity';
import {
  appendAudit,
  checkVersion,
  Database,
  nextVersion,
  NotFound,
  pageArguments,
  type IfMatch,
  type PageRequest,
} from '@io/platform';
import { CustomerInUse } from './errors.js';

/** What a person decides about a customer. */
export interface CustomerSettings {
  readonly name: string;
  readonly email: string | null;
  readonly legalName: string | null;
  readonly address: string | null;
  readonly taxId: string | null;
  readonly currency: string;
  readonly timezone: string;
  /** Within how many days invoices are paid; the issuer's when null. */
  readonly netTermsDays: number | null;
}

/** A customer as it is shown. */
export interface CustomerView extends CustomerSettings {
  readonly id: string;
  readonly createdAt: Date;
  readonly updatedAt: Date;
}

const VIEW = {
  id: true,
  name: true,
  email: true,
  legalName: true,
  address: true,
  taxId: true,
  currency: true,
  timezone: true,
  netTermsDays: true,
  createdAt: true,
  updatedAt: true,
} as const;

/** The table of customers. */
@Injectable()
export class CustomersRepository {
  constructor(private readonly db: Database) {}

  create(scope: Scope, customer: CustomerSettings): Promise<CustomerView> {
    return this.db.$transaction(async (tx) => {
      const after = await tx.customer.create({
        data: {
          id: prefixedId('cus', randomBytes),
          accountId: scope.accountId,
          ...customer,
        },
        select: VIEW,
      });
      await appendAudit(tx, { ...scope, action: 'create-customer', subject: after.id, after });
      return after;
    });
  }

  find({ accountId }: Scope, id: string): Promise<CustomerView | null> {
    return this.db.customer.findUnique({
      where: { accountId_id: { accountId, id } },
      select: VIEW,
    });
  }

  list({ accountId }: Scope, request: PageRequest): Promise<CustomerView[]> {
    const { where, ...page } = pageArguments(request);
    return this.db.customer.findMany({ where: { accountId, ...where }, ...page, select: VIEW });
  }

  update(
    scope: Scope,
    id: string,
    change: Partial<CustomerSettings>,
    { ifMatch, now }: { ifMatch: IfMatch; now: Date },
  ): Promise<CustomerView> {
    const { accountId } = scope;
    const where = { accountId_id: { accountId, id } };
    return this.db.$transaction(async (tx) => {
      await tx.$queryRaw`
        SELECT id FROM customer WHERE account_id = ${accountId} AND id = ${id} FOR NO KEY UPDATE`;
      const before = await tx.customer.findUnique({ where, select: VIEW });
      if (!before) throw new NotFound('customer', id);
      checkVersion(ifMatch, before);
      const after = await tx.customer.update({
        where,
        data: { ...change, updatedAt: nextVersion(before, now) },
        select: VIEW,
      });
      await appendAudit(tx, { ...scope, action: 'update-customer', subject: id, before, after });
      return after;
    });
  }

  /** Deletes a customer with their tokens; refused while keys, also deleted ones, subscriptions, credit or agreements name them. */
  delete(scope: Scope, id: string): Promise<void> {
    const { accountId } = scope;
    const where = { accountId_id: { accountId, id } };
    return this.db.$transaction(async (tx) => {
      await tx.$queryRaw`
        SELECT id FROM customer WHERE account_id = ${accountId} AND id = ${id} FOR UPDATE`;
      const before = await tx.customer.findUnique({ where, select: VIEW });
      if (!before) throw new NotFound('customer', id);
      const own = { where: { accountId, customerId: id } };
      const facts = {
        keys: await tx.apiKey.count(own),
        subscriptions: await tx.subscription.count(own),
        credits: await tx.creditGrant.count(own),
        agreements: await tx.marketplaceAgreement.count(own),
      };
      if (Object.values(facts).some((count) => count > 0)) throw new CustomerInUse(id, facts);
      await tx.customer.delete({ where });
      await appendAudit(tx, { ...scope, action: 'delete-customer', subject: id, before });
    });
  }
}
