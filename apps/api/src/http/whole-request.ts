import { IncomingMessage } from 'node:http';
import type { Readable } from 'node:stream';

/** Who takes a body, part by part. */
export interface BodyTaker {
  add(part: Buffer): void;
  /** All of it came. */
  end(): void;
  /** No more of it will come. */
  fail(error: Error): void;
}

/** Up to Node 24 the parser hands each part of a body to `push`, and null after the last; later ones ask first who reads. */
const PARSER_PUSHES = Number(process.versions.node.split('.')[0]) <= 24;

/**
 * A request whose body can be taken as the parser finds it, for routes that are asked thousands of times a second:
 * the stream in between costs more than a decision. The server makes all its requests of this class; one that nobody
 * takes is as Node has it.
 */
export class WholeRequest extends IncomingMessage {
  private isTaken = false;
  private taker: BodyTaker | null = null;

  static {
    const { get } = propertyOf(IncomingMessage.prototype, 'readableEnded');
    // A getter cannot be overridden in a class whose type has a property: once taken, nothing is left to be read.
    Object.defineProperty(this.prototype, 'readableEnded', {
      configurable: true,
      get(this: WholeRequest) {
        return this.isTaken || Boolean(get?.call(this));
      },
    });
  }

  /**
   * Hands the body over while it comes, beginning within the call that made the request known; not later, when some of
   * it may have gone into the stream. Of a client that goes away before its body is complete the taker hears nothing.
   */
  giveBodyTo(taker: BodyTaker): void {
    if (!PARSER_PUSHES) return takeFrom(this, taker);
    this.isTaken = true;
    this.taker = taker;
  }

  /** Nothing is to be read, since the request has no body: spares it what a stream does at its end. */
  leave(): void {
    this.isTaken = PARSER_PUSHES;
  }

  override push(part: Buffer | null, encoding?: BufferEncoding): boolean {
    if (!this.isTaken) return super.push(part, encoding);
    const { taker } = this;
    if (part !== null) taker?.add(part);
    else {
      this.taker = null;
      taker?.end();
    }
    return true;
  }

  /** Node lets what nobody read flow away when the answer is sent; of what was taken nothing is left. */
  override resume(): this {
    return this.isTaken ? this : super.resume();
  }
}

/** The same of any stream. */
export function takeFrom(stream: Readable, taker: BodyTaker): void {
  stream.on('data', (part: Buffer) => taker.add(part));
  stream.on('end', () => taker.end());
  stream.on('error', (error) => taker.fail(error));
}

function propertyOf(prototype: object, name: string): PropertyDescriptor {
  const own = Object.getOwnPropertyDescriptor(prototype, name);
  if (own) return own;
  const above: unknown = Object.getPrototypeOf(prototype);
  return typeof above === 'object' && above !== null ? propertyOf(above, name) : {};
}
