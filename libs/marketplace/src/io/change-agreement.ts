import { hourOf, type AgreementProgress, type AgreementState } from '@core/marketplace';
import { publishEvents } from '@io/notifications';
import { appendAudit, type Prisma } from '@io/platform';
import { AGREEMENT_VIEW } from './agreements.repository.js';

/** Who does what a marketplace says, in the audit log. */
export const MARKETPLACE = 'aws-marketplace';

/** What of an agreement its changes are decided by, as it is stored. */
interface StoredProgress {
  readonly state: string;
  readonly activeAt: Date | null;
  readonly endingAt: Date | null;
  readonly endedAt: Date | null;
  readonly noticeAt: Date | null;
  readonly lapsedAt: Date | null;
}

/** How far a stored agreement is. */
export function progressOf(stored: StoredProgress): AgreementProgress & {
  readonly lapsedAt: Date | null;
} {
  const { activeAt, endingAt, endedAt, noticeAt, lapsedAt } = stored;
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- a check of the table
  const state = stored.state as AgreementState;
  return { state, activeAt, endingAt, endedAt, noticeAt, lapsedAt };
}

/** Keeps what the marketplace made of a locked agreement, with its audit event and what webhooks are told. */
export async function changeAgreement(
  tx: Prisma.TransactionClient,
  agreement: {
    readonly accountId: string;
    readonly id: string;
    readonly state: string;
    readonly sealedTo: Date | null;
  },
  after: Partial<StoredProgress> & Pick<AgreementProgress, 'state' | 'activeAt'>,
  {
    action,
    causeId,
    at,
    more = {},
  }: {
    readonly action: string;
    /** Of what changes it, unique to the agreement. */
    readonly causeId: string;
    readonly at: Date;
    readonly more?: { readonly offerId?: string; readonly isFreeTrial?: boolean };
  },
): Promise<void> {
  const { accountId, id } = agreement;
  const sealedTo = agreement.sealedTo ?? (after.activeAt && hourOf(after.activeAt));
  const changed = await tx.marketplaceAgreement.update({
    where: { accountId_id: { accountId, id } },
    data: { ...after, sealedTo, ...more },
    select: AGREEMENT_VIEW,
  });
  if (after.state !== agreement.state) {
    const { customerId, productId, state } = changed;
    const data = { agreementId: id, productId, customerId, state };
    const type = 'marketplace.agreement.changed' as const;
    await publishEvents(tx, [{ accountId, type, subjectId: `${id}/${causeId}`, at, data }], at);
  }
  await appendAudit(tx, {
    accountId,
    principalId: MARKETPLACE,
    action,
    subject: id,
    after: changed,
  });
}
