import type { Judgement } from '../deciding/decision.js';
import { messageUnits } from '../usage/usage.js';
import { DEFAULT_ROUTE } from './route-key.js';

/** Amazon's limit of a message, in bytes. */
export const MESSAGE_BYTES_MAX = 128 * 1024;

/** A message that passed. */
export interface Traffic {
  /** In milliseconds of business time. */
  readonly at: number;
  /** Undefined when nobody could say whose key it is. */
  readonly keyId: string | undefined;
  readonly routeKey: string;
  readonly status: number;
  readonly messages: number;
}

/** Where the usage of one connection goes. */
export interface TrafficLedger {
  /** Business time, in milliseconds. */
  now(): number;
  add(traffic: Traffic): void;
  /** A connection was opened. False when that cannot be told yet: nobody could say whose key it is, or too much waits. */
  opened(id: string, at: number, keyId: string | undefined): boolean;
  /** A connection that `opened` took is over. */
  closed(id: string, at: number): void;
  /** A connection is over that `opened` never took. */
  lost(): void;
}

/**
 * Meters one connection: each message that passes when it passes, and when it was opened and closed, from which the
 * service counts its minutes.
 *
 * A received message counts for the route that it was charged to, a sent one for `$default`, since it answers no route.
 */
export class ConnectionMeter {
  private readonly openedAt: number;
  private isTold: boolean;
  private isClosed = false;
  /** Of the parts sent so far of a message that the application sends in parts; -1 between messages. */
  private partBytes = -1;

  constructor(
    private readonly id: string,
    private keyId: string | undefined,
    private readonly ledger: TrafficLedger,
  ) {
    this.openedAt = ledger.now();
    this.isTold = ledger.opened(id, this.openedAt, keyId);
  }

  /** Whether a part of a message was sent and its end was not. */
  get isInMessage(): boolean {
    return this.partBytes !== -1;
  }

  /** Whether so many bytes more may be sent. */
  fits(bytes: number): boolean {
    return Math.max(0, this.partBytes) + bytes <= MESSAGE_BYTES_MAX;
  }

  /** The application got a message, of so many bytes after decompression. */
  received({ at, keyId, routeKey = DEFAULT_ROUTE }: Judgement, bytes: number): void {
    this.keyId ??= keyId;
    this.tell();
    this.message(at, routeKey, bytes);
  }

  /** The application sent a message, or a part of one that is not its last. Bytes are those before compression. */
  sent(bytes: number, { isLast }: { readonly isLast: boolean }): void {
    const sum = Math.max(0, this.partBytes) + bytes;
    this.partBytes = isLast ? -1 : sum;
    if (isLast) this.message(this.ledger.now(), DEFAULT_ROUTE, sum);
  }

  /** The connection is over. Only the first time counts. */
  closed(): void {
    if (this.isClosed) return;
    this.isClosed = true;
    this.tell();
    if (this.isTold) this.ledger.closed(this.id, this.ledger.now());
    else this.ledger.lost();
  }

  /** Says when it was opened, unless that was said. */
  private tell(): void {
    this.isTold ||= this.ledger.opened(this.id, this.openedAt, this.keyId);
  }

  private message(at: number, routeKey: string, bytes: number): void {
    const messages = messageUnits(bytes);
    this.ledger.add({ at, keyId: this.keyId, routeKey, status: 200, messages });
  }
}

/** The payload's bytes of what `ws` hands over or takes: text, bytes in one piece or several, or a blob. */
export function bytesOf(data: unknown): number {
  if (Array.isArray(data)) {
    return data.reduce(
      (sum: number, part) => sum + (typeof part === 'number' ? 1 : bytesOf(part)),
      0,
    );
  }
  if (ArrayBuffer.isView(data) || data instanceof ArrayBuffer) return data.byteLength;
  if (data instanceof Blob) return data.size;
  return typeof data === 'string' || typeof data === 'number' ? Buffer.byteLength(String(data)) : 0;
}
