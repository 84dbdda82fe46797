import { Injectable, type OnModuleDestroy } from '@nestjs/common';
import type { Message, SQSClient } from '@aws-sdk/client-sqs';
import { Config } from '@io/platform';
import { REQUEST_HANDLER } from './marketplace-client.js';

/** A message as it came. */
export interface QueueMessage {
  readonly messageId: string;
  readonly body: string;
  readonly sentAt: Date;
  /** How often it has come, with this time. */
  readonly receives: number;
  /** What it is deleted by. */
  readonly receipt: string;
}

/** A queue of SQS, and nothing else that requests could be signed for. */
export const QUEUE_URL =
  /^https:\/\/sqs\.([a-z]{2}(?:-[a-z]+)+-\d)\.amazonaws\.com(?:\.cn)?\/\d{12}\/[A-Za-z0-9_-]{1,80}$/;

/** For so long nobody else sees what was received; longer than it takes to follow ten. */
const VISIBILITY_SECONDS = 60;
const RECEIVE_MAX = 10;
/** SQS answers within the wait; a little longer until the answer is given up. */
const EXTRA_MS = 10_000;

/** Amazon SQS over its SDK, which is read when it is first needed. */
@Injectable()
export class QueueClient implements OnModuleDestroy {
  private readonly clients = new Map<string, SQSClient>();
  private readonly stop = new AbortController();

  constructor(private readonly config: Config) {}

  /** Ends what waits for messages, so that a worker stops at once. */
  onModuleDestroy(): void {
    this.stop.abort();
    for (const client of this.clients.values()) client.destroy();
  }

  get isStopped(): boolean {
    return this.stop.signal.aborted;
  }

  /** Waits for messages, at most so long; they are hidden from others until they are deleted or a minute is over. */
  async receive(queueUrl: string, waitSeconds: number): Promise<QueueMessage[]> {
    const { ReceiveMessageCommand } = await sdk();
    const client = await this.client(queueUrl);
    const { Messages = [] } = await client.send(
      new ReceiveMessageCommand({
        QueueUrl: queueUrl,
        MaxNumberOfMessages: RECEIVE_MAX,
        WaitTimeSeconds: waitSeconds,
        VisibilityTimeout: VISIBILITY_SECONDS,
        MessageSystemAttributeNames: ['ApproximateReceiveCount', 'SentTimestamp'],
      }),
      { abortSignal: this.stop.signal, requestTimeout: waitSeconds * 1_000 + EXTRA_MS },
    );
    return Messages.map(toMessage);
  }

  /** Takes messages out of the queue. One that is not taken out comes again. */
  async delete(queueUrl: string, messages: readonly QueueMessage[]): Promise<void> {
    if (messages.length === 0) return;
    const Entries = messages.map(({ receipt }, index) => ({
      Id: String(index),
      ReceiptHandle: receipt,
    }));
    const { DeleteMessageBatchCommand } = await sdk();
    const client = await this.client(queueUrl);
    await client.send(new DeleteMessageBatchCommand({ QueueUrl: queueUrl, Entries }));
  }

  private async client(queueUrl: string): Promise<SQSClient> {
    const { SQSClient: Client } = await sdk();
    const region = QUEUE_URL.exec(queueUrl)?.[1] ?? 'us-east-1';
    const known = this.clients.get(region);
    if (known) return known;
    const { endpoint } = this.config.awsMarketplace;
    const client = new Client({
      region,
      ...(endpoint === null ? {} : { endpoint, useQueueUrlAsEndpoint: false }),
      maxAttempts: 1,
      requestHandler: { ...REQUEST_HANDLER, requestTimeout: 30_000 },
    });
    this.clients.set(region, client);
    return client;
  }
}

const sdk = () => import('@aws-sdk/client-sqs');

const toMessage = ({ MessageId, Body, ReceiptHandle, Attributes }: Message): QueueMessage => ({
  messageId: MessageId ?? '',
  body: Body ?? '',
  sentAt: new Date(Number(Attributes?.SentTimestamp ?? 0)),
  receives: Number(Attributes?.ApproximateReceiveCount ?? 1),
  receipt: ReceiptHandle ?? '',
});
