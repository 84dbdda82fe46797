import { createHash } from 'node:crypto';
import { Prisma } from '../database/database.js';

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
export async function appendAudit(tx: Prisma.TransactionClient, entry: AuditEntry): Promise<void> {
  await tx.$executeRaw`SELECT pg_advisory_xact_lock(hashtextextended(${`audit ${entry.accountId}`}, 0))`;
  const last = await tx.auditEvent.findFirst({
    where: { accountId: entry.accountId },
    orderBy: { sequence: 'desc' },
    select: { sequence: true, hash: true },
  });
  const event = {
    accountId: entry.accountId,
    sequence: (last?.sequence ?? -1n) + 1n,
    at: new Date(),
    principalId: entry.principalId,
    action: entry.action,
    subject: entry.subject,
    before: plainJson(entry.before),
    after: plainJson(entry.after),
    previousHash: Uint8Array.from(last?.hash ?? Buffer.alloc(32)),
  };
  await tx.auditEvent.create({
    data: {
      ...event,
      before: event.before ?? Prisma.DbNull,
      after: event.after ?? Prisma.DbNull,
      hash: Uint8Array.from(auditHash(event)),
    },
  });
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
