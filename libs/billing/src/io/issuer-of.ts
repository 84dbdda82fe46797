import assert from 'node:assert';
import type { Prisma } from '@io/platform';
import type { IssuerParty } from './issuers.repository.js';

/** Who issues the invoices of a subscription as it is now, and the series of their numbers. */
export interface IssuedBy {
  readonly party: IssuerParty;
  readonly series: string;
  /** Of its credit notes. */
  readonly creditSeries: string;
  /** How drafts become final. */
  readonly finalising: FinalisingTerms;
  /** Within how many days its invoices are to be paid: by the subscription, the customer, the issuer, or the account. */
  readonly netTermsDays: number;
}

/** How long drafts gather late usage, and whether a person approves them. */
export interface FinalisingTerms {
  readonly collectionHours: number;
  readonly requiresApproval: boolean;
}

type IssuerRow = IssuerParty &
  FinalisingTerms &
  Pick<IssuedBy, 'netTermsDays'> & {
    readonly subscriptionId: string;
    readonly series: string | null;
  };

/** The issuers that subscriptions of an account name, or else the account, by subscription. */
export async function issuersOf(
  tx: Prisma.TransactionClient,
  accountId: string,
  subscriptionIds: readonly string[],
): Promise<Map<string, IssuedBy>> {
  const rows = await tx.$queryRaw<IssuerRow[]>`
    SELECT s.id AS "subscriptionId", i.series, party.name, party.legal_name AS "legalName", party.address, party.tax_id AS "taxId",
      coalesce(i.collection_hours, a.collection_hours) AS "collectionHours",
      coalesce(i.requires_approval, a.requires_approval) AS "requiresApproval",
      CASE WHEN s.has_own_net_terms THEN s.net_terms_days
        ELSE coalesce(c.net_terms_days, i.net_terms_days, a.net_terms_days) END AS "netTermsDays"
    FROM subscription s JOIN account a ON a.id = s.account_id
    JOIN customer c ON c.account_id = s.account_id AND c.id = s.customer_id
    LEFT JOIN issuer i ON i.account_id = s.account_id AND i.id = s.issuer_id
    CROSS JOIN LATERAL (
      SELECT i.name, i.legal_name, i.address, i.tax_id WHERE i.id IS NOT NULL
      UNION ALL SELECT a.name, a.legal_name, a.address, a.tax_id WHERE i.id IS NULL
    ) party
    WHERE s.account_id = ${accountId} AND s.id = ANY (${[...subscriptionIds]})`;
  return new Map(
    rows.map(({ subscriptionId, series, ...row }) => {
      const { collectionHours, requiresApproval, netTermsDays, ...party } = row;
      const finalising = { collectionHours, requiresApproval };
      const numbers =
        series === null
          ? { series: 'TG', creditSeries: 'CN' }
          : { series, creditSeries: `${series}CN` };
      return [subscriptionId, { party, ...numbers, finalising, netTermsDays }];
    }),
  );
}

/** The same of one. */
export async function issuerOf(
  tx: Prisma.TransactionClient,
  { accountId, subscriptionId }: { readonly accountId: string; readonly subscriptionId: string },
): Promise<IssuedBy> {
  const issuer = (await issuersOf(tx, accountId, [subscriptionId])).get(subscriptionId);
  assert(issuer, `${subscriptionId} is a subscription of ${accountId}.`);
  return issuer;
}
