import { createHash } from 'node:crypto';
import type { Prisma } from '../database/database.js';

/** One change of the control plane, as it is told to the audit log. Holds no secret. */
export interface AuditEntry {
  readonly accountId: string;
  readonly principalId: string;
  /** Verb and noun: `create-usage-plan`. */
  readonly action: string;
  /** The id of what was changed. */
  readonly subject: string;
  readonly before?: object | null;
  readonly after?: object | null;
}

/**
 * Appends to the account's audit log within the transaction of the change itself. The events of an account form a
 * chain: each hash covers the one before. The lock on the account's chain is taken last in every transaction.
 */
export function appendAudit(
  tx: Prisma.TransactionClient,
  { accountId, ...entry }: AuditEntry,
): Promise<void> {
  return appendAudits(tx, accountId, [entry]);
}

/** Appends many changes of one transaction, in their order. */
export async function appendAudits(
  tx: Prisma.TransactionClient,
  accountId: string,
  entries: readonly Omit<AuditEntry, 'accountId'>[],
): Promise<void> {
  if (entries.length === 0) return;
  await tx.$executeRaw`SELECT pg_advisory_xact_lock(hashtextextended(${`audit ${accountId}`}, 0))`;
  const last = await tx.auditEvent.findFirst({
    where: { accountId },
    orderBy: { sequence: 'desc' },
    select: { sequence: true, hash: true },
  });
  const at = new Date();
  let sequence = last?.sequence ?? -1n;
  let previousHash: Uint8Array = last?.hash ?? Buffer.alloc(32);
  const events = entries.map(({ principalId, action, subject, before, after }) => {
    sequence += 1n;
    const event = {
      accountId,
      sequence,
      at,
      principalId,
      action,
      subject,
      before: plainJson(before),
      after: plainJson(after),
      previousHash,
    };
    previousHash = auditHash(event);
    return { ...event, hash: previousHash };
  });
  const bytes = (of: (event: (typeof events)[number]) => Uint8Array) =>
    events.map((event) => Buffer.from(of(event)).toString('hex'));
  await tx.$executeRaw`
    INSERT INTO audit_event (account_id, sequence, at, principal_id, action, subject, before, after, previous_hash, hash)
    SELECT ${accountId}, sequence, ${at}::timestamptz, principal_id, action, subject, nullif(before, '')::jsonb, nullif(after, '')::jsonb,
      decode(previous_hash, 'hex'), decode(hash, 'hex')
    FROM unnest(
      ${events.map((event) => event.sequence.toString())}::bigint[],
      ${events.map((event) => event.principalId)}::text[],
      ${events.map((event) => event.action)}::text[],
      ${events.map((event) => event.subject)}::text[],
      ${events.map((event) => jsonText(event.before))}::text[],
      ${events.map((event) => jsonText(event.after))}::text[],
      ${bytes((event) => event.previousHash)}::text[],
      ${bytes((event) => event.hash)}::text[]
    ) AS event (sequence, principal_id, action, subject, before, after, previous_hash, hash)`;
}

/** An audit event without its own hash. */
export interface ChainedEvent {
  readonly accountId: string;
  readonly sequence: bigint;
  readonly at: Date;
  readonly principalId: string;
  readonly action: string;
  readonly subject: string;
  readonly before: unknown;
  readonly after: unknown;
  readonly previousHash: Uint8Array;
}

/** SHA-256 over every column of the event and the hash of the one before. */
export function auditHash(event: ChainedEvent): Buffer {
  return createHash('sha256')
    .update(event.previousHash)
    .update(
      canonicalJson([
        event.accountId,
        event.sequence.toString(),
        event.at.toISOString(),
        event.principalId,
        event.action,
        event.subject,
        event.before ?? null,
        event.after ?? null,
      ]),
    )
    .digest();
}

/** JSON with sorted keys, since Postgres' jsonb keeps no order. */
function canonicalJson(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(',')}]`;
  if (typeof value === 'object' && value !== null) {
    const members = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
    return `{${members.map(([key, member]) => `${JSON.stringify(key)}:${canonicalJson(member)}`).join(',')}}`;
  }
  return JSON.stringify(value ?? null);
}

function plainJson(value: object | null | undefined): Prisma.InputJsonObject | null {
  if (!value) return null;
  const text = JSON.stringify(value, (_, member: unknown) =>
    typeof member === 'bigint' ? member.toString() : member,
  );
  return JSON.parse(text) as Prisma.InputJsonObject;
}

const jsonText = (value: object | null) => (value === null ? '' : JSON.stringify(value));
