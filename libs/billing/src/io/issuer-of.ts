import type { Prisma } from '@io/platform';
import type { IssuerParty } from './issuers.repository.js';

const PARTY = { name: true, legalName: true, address: true, taxId: true } as const;

/** Who issues the invoices of a subscription as it is now, and the series of their numbers. */
export interface IssuedBy {
  readonly party: IssuerParty;
  readonly series: string;
  /** Of its credit notes. */
  readonly creditSeries: string;
}

/** The issuer that the subscription names, or else the account. */
export async function issuerOf(
  tx: Prisma.TransactionClient,
  { accountId, subscriptionId }: { readonly accountId: string; readonly subscriptionId: string },
): Promise<IssuedBy> {
  const { issuerId } = await tx.subscription.findUniqueOrThrow({
    where: { accountId, id: subscriptionId },
    select: { issuerId: true },
  });
  if (issuerId === null) {
    const party = await tx.account.findUniqueOrThrow({ where: { id: accountId }, select: PARTY });
    return { party, series: 'TG', creditSeries: 'CN' };
  }
  const { series, ...party } = await tx.issuer.findUniqueOrThrow({
    where: { accountId_id: { accountId, id: issuerId } },
    select: { ...PARTY, series: true },
  });
  return { party, series, creditSeries: `${series}CN` };
}
