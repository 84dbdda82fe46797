/** draft → finalised → paid | void | uncollectible; uncollectible → paid | void. */
export type InvoiceStatus = 'draft' | 'finalised' | 'paid' | 'void' | 'uncollectible';

/** From which states an invoice may be moved on by hand. */
export const COMES_FROM = {
  paid: ['finalised', 'uncollectible'],
  void: ['finalised', 'uncollectible'],
  uncollectible: ['finalised'],
} as const satisfies Partial<Record<InvoiceStatus, readonly InvoiceStatus[]>>;

/** What is still to be paid, in minor units; also of what was given up on. Nothing of a draft, and of a void invoice. */
export function amountDue({
  status,
  totalMinor,
  paidMinor,
  creditedMinor,
}: {
  readonly status: InvoiceStatus;
  readonly totalMinor: bigint;
  readonly paidMinor: bigint;
  readonly creditedMinor: bigint;
}): bigint {
  if (status === 'draft' || status === 'void') return 0n;
  const due = totalMinor - paidMinor - creditedMinor;
  return due > 0n ? due : 0n;
}
