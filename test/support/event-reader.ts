import { get, type IncomingMessage } from 'node:http';
import { onTestFinished } from 'vitest';

/** One event of a stream, as it came. */
export interface ServerSentEvent {
  readonly id: string;
  readonly event: string;
  readonly data: unknown;
}

/** Reads `GET /v1/gateway/events` of one api, as a gateway without a plugin would. */
export class EventReader {
  readonly events: ServerSentEvent[] = [];
  /** Comments too, which say that the stream lives. */
  pings = 0;
  hasEnded = false;
  private waiting: (() => void)[] = [];

  private constructor(private readonly response: IncomingMessage) {
    let text = '';
    response.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk;
      const blocks = text.split('\n\n');
      text = blocks.pop() ?? '';
      for (const block of blocks) this.read(block);
      this.wake();
    });
    const end = () => {
      this.hasEnded = true;
      this.wake();
    };
    response.on('close', end).on('error', end);
  }

  /** Resolves when the stream is open; it is closed after the test. */
  static async open(url: string, token: string, lastEventId?: string): Promise<EventReader> {
    const headers = {
      authorization: `Bearer ${token}`,
      ...(lastEventId === undefined ? {} : { 'last-event-id': lastEventId }),
    };
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      get(`${url}/v1/gateway/events`, { headers, agent: false }, resolve).on('error', reject);
    });
    if (response.statusCode !== 200)
      throw new Error(`The stream was answered ${response.statusCode}.`);
    const reader = new EventReader(response);
    onTestFinished(() => reader.close());
    return reader;
  }

  /** Resolves when this is so; it is asked again after whatever comes. Rejects after a while. */
  async until(isSo: () => boolean, msMax = 10_000): Promise<void> {
    const deadline = performance.now() + msMax;
    while (!isSo()) {
      const ms = deadline - performance.now();
      if (ms <= 0) throw new Error(`Not so after ${msMax} ms: ${JSON.stringify(this.events)}`);
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, ms);
        this.waiting.push(() => {
          clearTimeout(timer);
          resolve();
        });
      });
    }
  }

  /** Stops reading, so that the other side's buffers fill. */
  pause(): void {
    this.response.pause();
  }

  resume(): void {
    this.response.resume();
  }

  close(): void {
    this.response.destroy();
  }

  private wake(): void {
    const { waiting } = this;
    this.waiting = [];
    for (const resolve of waiting) resolve();
  }

  private read(block: string): void {
    const fields = new Map<string, string>();
    for (const line of block.split('\n')) {
      const at = line.indexOf(':');
      if (at === 0) this.pings += 1;
      else fields.set(line.slice(0, at), line.slice(at + 1).trimStart());
    }
    if (!fields.has('data')) return;
    this.events.push({
      id: fields.get('id') ?? '',
      event: fields.get('event') ?? '',
      data: JSON.parse(fields.get('data') ?? ''),
    });
  }
}
