import assert from 'node:assert';
import type { Prisma } from '@io/platform';
import { issuersOf, type IssuedBy } from './issuer-of.js';

/** Who bills whom with an invoice, and how its draft becomes final, as it is now. Both parties are JSON, as an invoice keeps them. */
export interface Parties extends Omit<IssuedBy, 'party'> {
  readonly issuer: string;
  readonly recipient: string;
}

interface PartiesKey {
  readonly id: string;
  readonly customerId: string;
}

/** The parties of the invoices of some subscriptions of an account. */
export async function partiesOf(
  tx: Prisma.TransactionClient,
  accountId: string,
  subscriptions: readonly PartiesKey[],
): Promise<(of: PartiesKey) => Parties> {
  const issuers = await issuersOf(
    tx,
    accountId,
    subscriptions.map(({ id }) => id),
  );
  const customers = await tx.customer.findMany({
    where: { accountId, id: { in: subscriptions.map(({ customerId }) => customerId) } },
    select: { id: true, name: true, legalName: true, address: true, taxId: true, email: true },
  });
  const recipients = new Map(customers.map(({ id, ...party }) => [id, JSON.stringify(party)]));
  return ({ id, customerId }) => {
    const issuer = issuers.get(id);
    const recipient = recipients.get(customerId);
    assert(issuer && recipient, `${id} has an issuer and a recipient.`);
    const { party, ...terms } = issuer;
    return { ...terms, issuer: JSON.stringify(party), recipient };
  };
}
