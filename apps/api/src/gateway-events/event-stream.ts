import type { ServerResponse } from 'node:http';
import { placeText, type PolicyChange, type RememberedChange } from '@io/platform';

/**
 * What a reader may leave unread before it is cut: it comes back and is told what it missed. More than all that
 * can be told at once, since nothing is sent before the end of a turn of the event loop.
 */
const UNREAD_BYTES_MAX = 1024 * 1024;
const HELD_MAX = 1_000;

type Change = NonNullable<PolicyChange>;

/** One gateway's stream of events, as text/event-stream. */
export class EventStream {
  /** Changes that came while what was missed is being read; null when nothing is. */
  #held: Change[] | null = null;

  constructor(
    readonly accountId: string,
    readonly token: string,
    private readonly response: ServerResponse,
  ) {}

  /** Holds changes back until `release`. */
  hold(): void {
    this.#held = [];
  }

  /** Tells what was missed, or, with null, that it cannot be said; then what came meanwhile. */
  release(missed: readonly RememberedChange[] | null, place: string): void {
    if (missed) {
      for (const change of missed) this.#write(placeText(change), 'change', change.keyId);
    } else {
      this.#write(place, 'reset', '');
    }
    const held = this.#held ?? [];
    this.#held = null;
    for (const change of held) this.tell(change);
  }

  tell(change: Change): void {
    if (change.id === undefined) return;
    if (this.#held) {
      if (this.#held.push(change) > HELD_MAX) this.response.destroy();
    } else {
      this.#write(change.id, 'change', change.keyId ?? '');
    }
  }

  ping(): void {
    this.#send(': ping\n\n');
  }

  end(): void {
    this.response.end();
  }

  #write(id: string, event: 'change' | 'reset', keyId: string): void {
    const data = keyId === '' ? '{}' : JSON.stringify({ keyId });
    this.#send(`id: ${id}\nevent: ${event}\ndata: ${data}\n\n`);
  }

  #send(text: string): void {
    if (this.response.destroyed || this.response.writableEnded) return;
    this.response.write(text);
    if (this.response.writableLength > UNREAD_BYTES_MAX) this.response.destroy();
  }
}
