import { randomBytes } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import type { Scope } from '@core/identity';
import { prefixedId } from '@core/kernel';
import { QueueMessageSettled } from '@core/marketplace';
import { appendAudit, Database, NotFound, pageArguments, type PageRequest } from '@io/platform';
import type { QueueMessage } from './queue-client.js';

/** A queue that is read, and for whom. */
export interface ReadQueue {
  readonly accountId: string;
  readonly queueUrl: string;
}

export const QUEUE_MESSAGE_STATES = ['open', 'followed', 'dismissed'] as const;

/** A message that could not be followed, as it is shown. */
export interface KeptMessage {
  readonly id: string;
  readonly queueUrl: string;
  readonly messageId: string;
  readonly body: string;
  readonly sentAt: Date;
  readonly fault: string;
  readonly state: string;
  readonly createdAt: Date;
  readonly settledAt: Date | null;
  readonly settledBy: string | null;
  readonly note: string | null;
}

const VIEW = {
  id: true,
  queueUrl: true,
  messageId: true,
  body: true,
  sentAt: true,
  fault: true,
  state: true,
  createdAt: true,
  settledAt: true,
  settledBy: true,
  note: true,
} as const;

/** Queues of products, and the messages of them that wait for a person. */
@Injectable()
export class QueuesRepository {
  constructor(private readonly db: Database) {}

  /** Those that a product names. Of accounts in test mode only where a test has its own marketplace. */
  queues(includesTests: boolean): Promise<ReadQueue[]> {
    return this.db.$queryRaw<ReadQueue[]>`
      SELECT DISTINCT p.account_id AS "accountId", p.queue_url AS "queueUrl"
      FROM marketplace_product p JOIN account c ON c.id = p.account_id
      WHERE p.queue_url IS NOT NULL AND (c.mode = 'live' OR ${includesTests}) ORDER BY 1, 2`;
  }

  /** Notes that a queue was read, or why it could not be. */
  async note({ queueUrl }: ReadQueue, fault: string | null, now: Date): Promise<void> {
    const data = fault === null ? { readAt: now, fault } : { fault };
    await this.db.marketplaceQueue.updateMany({ where: { queueUrl }, data });
  }

  /** How many queues cannot be read, over all accounts. */
  countFailing(): Promise<number> {
    return this.db.marketplaceQueue.count({ where: { fault: { not: null } } });
  }

  /** Keeps a message that cannot be followed, for a person; the same again changes nothing. */
  async keep(
    { accountId, queueUrl }: ReadQueue,
    { messageId, body, sentAt }: QueueMessage,
    fault: string,
    now: Date,
  ): Promise<void> {
    const of = { id: prefixedId('mqm', randomBytes), accountId, queueUrl, messageId };
    const data = [{ ...of, body, sentAt, fault, createdAt: now }];
    await this.db.marketplaceQueueMessage.createMany({ data, skipDuplicates: true });
  }

  list(
    { accountId }: Scope,
    { state }: { readonly state?: string | undefined },
    request: PageRequest,
  ): Promise<KeptMessage[]> {
    const { where, ...page } = pageArguments(request);
    const filter = state === undefined ? {} : { state };
    return this.db.marketplaceQueueMessage.findMany({
      where: { accountId, ...filter, ...where },
      ...page,
      select: VIEW,
    });
  }

  find({ accountId }: Scope, id: string): Promise<KeptMessage | null> {
    return this.db.marketplaceQueueMessage.findFirst({ where: { accountId, id }, select: VIEW });
  }

  /** How many wait for a person, over all accounts. */
  countOpen(): Promise<number> {
    return this.db.marketplaceQueueMessage.count({ where: { state: 'open' } });
  }

  /** Says what became of a message. Throws `QueueMessageSettled` when something had. */
  settle(
    scope: Scope,
    id: string,
    {
      now,
      ...change
    }: {
      readonly state: 'followed' | 'dismissed';
      readonly note: string | null;
      readonly now: Date;
    },
  ): Promise<KeptMessage> {
    const { accountId, principalId } = scope;
    return this.db.$transaction(async (tx) => {
      await tx.$queryRaw`
        SELECT FROM marketplace_queue_message WHERE account_id = ${accountId} AND id = ${id} FOR UPDATE`;
      const before = await tx.marketplaceQueueMessage.findFirst({
        where: { accountId, id },
        select: VIEW,
      });
      if (!before) throw new NotFound('queue message', id);
      if (before.state !== 'open') throw new QueueMessageSettled(before.state);
      const after = await tx.marketplaceQueueMessage.update({
        where: { id },
        data: { ...change, settledAt: now, settledBy: principalId },
        select: VIEW,
      });
      // Without what a stranger wrote: that stays in the row.
      const seen = { state: after.state, note: after.note, fault: after.fault };
      const entry = { action: 'settle-marketplace-queue-message', subject: id, after: seen };
      await appendAudit(tx, { ...scope, ...entry });
      return after;
    });
  }
}
