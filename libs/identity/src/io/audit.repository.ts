import { Injectable } from '@nestjs/common';
import type { Scope } from '@core/identity';
import { Database, type PageRequest } from '@io/platform';

/** An audit event as it is kept. */
export interface AuditRow {
  readonly accountId: string;
  readonly sequence: bigint;
  readonly at: Date;
  readonly principalId: string;
  readonly action: string;
  readonly subject: string;
  readonly before: unknown;
  readonly after: unknown;
  readonly previousHash: Uint8Array;
  readonly hash: Uint8Array;
}

/** The append-only table of audit events, for reading. */
@Injectable()
export class AuditRepository {
  constructor(private readonly db: Database) {}

  /** A page of events, newest first; the position's id is the sequence. */
  list({ accountId }: Scope, { limit, after }: PageRequest): Promise<AuditRow[]> {
    return this.db.auditEvent.findMany({
      where: { accountId, ...(after ? { sequence: { lt: BigInt(after.id) } } : {}) },
      orderBy: { sequence: 'desc' },
      take: limit + 1,
    });
  }

  /** The next events of an account's chain, oldest first. */
  chain(accountId: string, after: bigint, limit: number): Promise<AuditRow[]> {
    return this.db.auditEvent.findMany({
      where: { accountId, sequence: { gt: after } },
      orderBy: { sequence: 'asc' },
      take: limit,
    });
  }
}
