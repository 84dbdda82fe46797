import { Injectable, Logger } from '@nestjs/common';
import type { Scope } from '@core/identity';
import { QueueMessageNotFollowed, readQueueMessage } from '@core/marketplace';
import {
  Config,
  messageOf,
  NotFound,
  Pages,
  SystemClock,
  type Page,
  type PageQuery,
} from '@io/platform';
import { NoticesService } from './notices.service.js';
import { QueueClient, type QueueMessage } from './queue-client.js';
import { QueuesRepository, type KeptMessage, type ReadQueue } from './queues.repository.js';

/** The queue of ours, and the job, that reads those of Amazon SQS. */
export const READ_MARKETPLACE_QUEUES = 'read-marketplace-queues';

/** As long as SQS takes to wait: fewer requests, and a message is there at once. */
const WAIT_SECONDS = 20;
/** One that could not be followed so often is taken out, for a person. */
const RECEIVES_MAX = 5;

/**
 * Notifications that come by queues of Amazon SQS. A message is deleted after what it says was committed, so a worker that dies in
 * between gets it again, and it counts once by its id. What cannot be followed is kept where people see it, and then deleted.
 */
@Injectable()
export class QueuesService {
  private readonly logger = new Logger('Marketplace');

  constructor(
    private readonly queues: QueuesRepository,
    private readonly sqs: QueueClient,
    private readonly notices: NoticesService,
    private readonly pages: Pages,
    private readonly config: Config,
    private readonly clock: SystemClock,
  ) {}

  /** Reads every queue until it is empty, and returns how many messages were. Any number of workers may. */
  async readAll({ waitSeconds = WAIT_SECONDS } = {}): Promise<number> {
    const queues = await this.queues.queues(this.config.awsMarketplace.endpoint !== null);
    const counts = await Promise.all(queues.map((queue) => this.read(queue, waitSeconds)));
    return counts.reduce((sum, count) => sum + count, 0);
  }

  async list(
    scope: Scope,
    filter: { readonly state?: string | undefined },
    query: PageQuery,
  ): Promise<Page<KeptMessage>> {
    const list = `marketplace-queue-messages ${scope.accountId} ${JSON.stringify(filter)}`;
    const request = this.pages.request(query, list);
    return this.pages.page(await this.queues.list(scope, filter, request), request, list);
  }

  /** Follows a kept message, now that its product is registered or what was wrong is right. Throws `QueueMessageNotFollowed`. */
  async retry(scope: Scope, id: string): Promise<KeptMessage> {
    const kept = await this.queues.find(scope, id);
    if (!kept) throw new NotFound('queue message', id);
    const fault = kept.state === 'open' ? await this.follow(scope.accountId, kept) : null;
    if (fault !== null) throw new QueueMessageNotFollowed(fault);
    return this.queues.settle(scope, id, { state: 'followed', note: null, now: this.clock.now() });
  }

  /** Settles a kept message that is not to be followed. */
  dismiss(scope: Scope, id: string, note: string): Promise<KeptMessage> {
    return this.queues.settle(scope, id, { state: 'dismissed', note, now: this.clock.now() });
  }

  /** How many queues cannot be read, over all accounts. */
  countFailing(): Promise<number> {
    return this.queues.countFailing();
  }

  /** How many messages wait for a person, over all accounts. */
  countOpen(): Promise<number> {
    return this.queues.countOpen();
  }

  private async read(queue: ReadQueue, waitSeconds: number): Promise<number> {
    let handled = 0;
    try {
      while (!this.sqs.isStopped) {
        const messages = await this.sqs.receive(queue.queueUrl, waitSeconds);
        await this.queues.note(queue, null, this.clock.now());
        if (messages.length === 0) return handled;
        const done: QueueMessage[] = [];
        for (const message of messages.toSorted(bySentAt))
          if (await this.handle(queue, message)) done.push(message);
        await this.sqs.delete(queue.queueUrl, done);
        handled += done.length;
      }
    } catch (error) {
      // The others are read all the same, and this one at the next run.
      if (!this.sqs.isStopped) await this.tellFault(queue, messageOf(error).slice(0, 500));
    }
    return handled;
  }

  private async tellFault(queue: ReadQueue, fault: string): Promise<void> {
    this.logger.error(`The queue ${queue.queueUrl} cannot be read: ${fault}`);
    try {
      await this.queues.note(queue, fault, this.clock.now());
    } catch (error) {
      this.logger.error(`That cannot be noted either: ${messageOf(error)}`);
    }
  }

  /** Whether the message is done with, so that it can be deleted. */
  private async handle(queue: ReadQueue, message: QueueMessage): Promise<boolean> {
    const { messageId, receives } = message;
    try {
      const fault = await this.follow(queue.accountId, message);
      if (fault === null) return true;
      this.logger.warn(`Message ${messageId} of ${queue.queueUrl} is kept for a person: ${fault}.`);
      await this.queues.keep(queue, message, fault, this.clock.now());
      return true;
    } catch (error) {
      const fault = messageOf(error).slice(0, 500);
      this.logger.error(`Message ${messageId} was not followed, time ${receives}: ${fault}`);
      if (receives < RECEIVES_MAX) return false;
      return this.keepAtLast(queue, message, fault);
    }
  }

  private async keepAtLast(
    queue: ReadQueue,
    message: QueueMessage,
    fault: string,
  ): Promise<boolean> {
    try {
      await this.queues.keep(queue, message, fault, this.clock.now());
      return true;
    } catch (error) {
      // Not even that: it stays in its queue.
      this.logger.error(`Message ${message.messageId} cannot be kept: ${messageOf(error)}`);
      return false;
    }
  }

  /** Why a message cannot be followed; null when it was, or says nothing. */
  private async follow(
    accountId: string,
    message: Pick<QueueMessage, 'messageId' | 'body' | 'sentAt'>,
  ): Promise<string | null> {
    const read = readQueueMessage(message.body, message);
    if (read.kind === 'nothing') return null;
    if (read.kind === 'fault') return read.fault;
    const { notice, noticeId, text } = read;
    const outcome = await this.notices.follow(notice, { noticeId, body: text, accountId });
    return outcome === 'unknown' ? `no product has the code "${notice.productCode}"` : null;
  }
}

const bySentAt = (a: QueueMessage, b: QueueMessage) => a.sentAt.getTime() - b.sentAt.getTime();
