import { Injectable } from '@nestjs/common';
import type { Scope } from '@core/identity';
import { auditHash, Pages, type Page, type PageQuery } from '@io/platform';
import { AuditRepository, type AuditRow } from './audit.repository.js';

/** An audit event as it is shown. */
export interface AuditEventView {
  readonly sequence: number;
  readonly at: Date;
  readonly principalId: string;
  readonly action: string;
  readonly subject: string;
  readonly before: object | null;
  readonly after: object | null;
  /** Of the event and all before it, in hexadecimal. */
  readonly hash: string;
}

/** What checking a chain of events found. */
export interface ChainCheck {
  /** How many events fit, from the first on. */
  readonly events: number;
  /** The sequence of the first that does not; null when all do. */
  readonly brokenAt: number | null;
  /** The hash of the last event that fits. To be kept elsewhere: only it tells that the newest events are gone. */
  readonly head: string;
}

const BATCH = 1_000;

/** The audit log: what was changed, by whom. */
@Injectable()
export class AuditService {
  constructor(
    private readonly events: AuditRepository,
    private readonly pages: Pages,
  ) {}

  async list(scope: Scope, query: PageQuery): Promise<Page<AuditEventView>> {
    const list = `${scope.accountId} audit-events`;
    const request = this.pages.request(query, list);
    const rows = await this.events.list(scope, request);
    const { items, next } = this.pages.page(rows, request, list, ({ at, sequence }) => ({
      createdAt: at,
      id: sequence.toString(),
    }));
    return { items: items.map(toView), ...(next === undefined ? {} : { next }) };
  }

  /** Recomputes an account's chain from its first event on. */
  async verify(accountId: string): Promise<ChainCheck> {
    let head = Buffer.alloc(32);
    let next = 0n;
    for (;;) {
      const rows = await this.events.chain(accountId, next - 1n, BATCH);
      for (const row of rows) {
        const fits =
          row.sequence === next && head.equals(row.previousHash) && auditHash(row).equals(row.hash);
        if (!fits) {
          return { events: Number(next), brokenAt: Number(next), head: head.toString('hex') };
        }
        head = Buffer.from(row.hash);
        next += 1n;
      }
      if (rows.length < BATCH) {
        return { events: Number(next), brokenAt: null, head: head.toString('hex') };
      }
    }
  }
}

function toView(row: AuditRow): AuditEventView {
  const { sequence, at, principalId, action, subject } = row;
  return {
    sequence: Number(sequence),
    at,
    principalId,
    action,
    subject,
    before: row.before as object | null,
    after: row.after as object | null,
    hash: Buffer.from(row.hash).toString('hex'),
  };
}
