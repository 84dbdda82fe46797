import { createHash, randomUUID } from 'node:crypto';
import { AwsError } from './aws-error.js';

interface Message {
  readonly id: string;
  readonly body: string;
  readonly sentAtMs: number;
  receives: number;
  /** Not seen by others until then. */
  hiddenUntilMs: number;
  /** Of the last receipt; an older one deletes it too, as AWS documents, while it is not received again. */
  receipt: string | null;
}

interface ReceiveRequest {
  readonly QueueUrl: string;
  readonly MaxNumberOfMessages?: number;
  readonly WaitTimeSeconds?: number;
  readonly VisibilityTimeout?: number;
}

interface DeleteRequest {
  readonly QueueUrl: string;
  readonly Entries: readonly { readonly Id: string; readonly ReceiptHandle: string }[];
}

const RECEIVE_MAX = 10;
const WAIT_MAX = 20;

/**
 * Queues of Amazon SQS in memory. A message that is received is hidden for its visibility timeout and comes again unless it
 * is deleted; a receive waits for one. `deliverTwice` delivers like a standard queue does now and then.
 */
export class QueuesStandIn {
  readonly queues = new Map<string, Message[]>();
  /** Of long polls: for how long each waited at most. */
  readonly waits: number[] = [];
  deliverTwice = false;
  nowMs: () => number = () => Date.now();
  private readonly waiting = new Set<() => void>();

  /** Makes a queue and answers its URL. */
  create(name: string): string {
    const url = `https://sqs.us-east-1.amazonaws.com/123456789012/${name}`;
    this.queues.set(url, []);
    return url;
  }

  /** Puts a message into a queue. */
  put(url: string, body: string): string {
    const id = randomUUID();
    const sentAtMs = this.nowMs();
    this.of(url).push({ id, body, sentAtMs, receives: 0, hiddenUntilMs: 0, receipt: null });
    this.wake();
    return id;
  }

  /** As if the visibility timeout of all that was received were over. */
  show(url: string): void {
    for (const message of this.of(url)) message.hiddenUntilMs = 0;
    this.wake();
  }

  /** How many messages a queue has, seen or hidden. */
  size(url: string): number {
    return this.of(url).length;
  }

  /** Lets every receive that waits go, as a stop does. */
  wake(): void {
    for (const go of this.waiting) go();
  }

  answer(operation: string, input: never): object | Promise<object> {
    switch (operation) {
      case 'ReceiveMessage':
        return this.receive(input);
      case 'DeleteMessageBatch':
        return this.remove(input);
      default:
        throw new AwsError('com.amazonaws.sqs#UnsupportedOperation', operation);
    }
  }

  private async receive({
    QueueUrl,
    MaxNumberOfMessages = 1,
    WaitTimeSeconds = 0,
    VisibilityTimeout = 30,
  }: ReceiveRequest): Promise<object> {
    this.of(QueueUrl);
    const isMax = MaxNumberOfMessages >= 1 && MaxNumberOfMessages <= RECEIVE_MAX;
    if (!isMax || WaitTimeSeconds < 0 || WaitTimeSeconds > WAIT_MAX)
      throw new AwsError('InvalidParameterValueException', 'a number is out of range');
    this.waits.push(WaitTimeSeconds);
    const take = () => this.take(QueueUrl, MaxNumberOfMessages, VisibilityTimeout);
    let taken = take();
    if (taken.length === 0 && WaitTimeSeconds > 0) {
      await this.message(WaitTimeSeconds * 1_000);
      taken = take();
    }
    return taken.length === 0 ? {} : { Messages: taken };
  }

  /** Until a message may be there, or the time is over. */
  private message(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const go = () => {
        clearTimeout(timer);
        this.waiting.delete(go);
        resolve();
      };
      const timer = setTimeout(go, ms);
      this.waiting.add(go);
    });
  }

  private take(url: string, max: number, visibilitySeconds: number): object[] {
    const now = this.nowMs();
    const seen = this.of(url).filter(({ hiddenUntilMs }) => hiddenUntilMs <= now);
    return seen.slice(0, max).map((message) => {
      message.receives += 1;
      message.receipt = randomUUID();
      message.hiddenUntilMs = this.deliverTwice ? 0 : now + visibilitySeconds * 1_000;
      return {
        MessageId: message.id,
        ReceiptHandle: message.receipt,
        Body: message.body,
        MD5OfBody: createHash('md5').update(message.body).digest('hex'),
        Attributes: {
          ApproximateReceiveCount: String(message.receives),
          SentTimestamp: String(message.sentAtMs),
        },
      };
    });
  }

  private remove({ QueueUrl, Entries }: DeleteRequest): object {
    const messages = this.of(QueueUrl);
    if (Entries.length === 0)
      throw new AwsError('com.amazonaws.sqs#EmptyBatchRequest', 'no entries');
    if (Entries.length > RECEIVE_MAX)
      throw new AwsError('com.amazonaws.sqs#TooManyEntriesInBatchRequest', 'too many entries');
    for (const { ReceiptHandle } of Entries) {
      const at = messages.findIndex(({ receipt }) => receipt === ReceiptHandle);
      if (at >= 0) messages.splice(at, 1);
    }
    return { Successful: Entries.map(({ Id }) => ({ Id })), Failed: [] };
  }

  private of(url: string): Message[] {
    const messages = this.queues.get(url);
    if (!messages) throw new AwsError('com.amazonaws.sqs#QueueDoesNotExist', url);
    return messages;
  }
}
