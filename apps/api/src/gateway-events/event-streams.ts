import {
  Injectable,
  Logger,
  type BeforeApplicationShutdown,
  type OnApplicationBootstrap,
} from '@nestjs/common';
import type { ServerResponse } from 'node:http';
import { DomainError } from '@core/kernel';
import { Authenticator } from '@io/identity';
import {
  messageOf,
  NotListening,
  parsePlace,
  PolicyEvents,
  PolicyHistory,
  type PolicyChange,
} from '@io/platform';
import { EventStream } from './event-stream.js';

const PING_MS = 10_000;
const STREAMS_MAX = 1_000;

class TooManyStreams extends DomainError {
  readonly code = 'too-many-streams';
  readonly kind = 'exhausted';
  readonly facts = { streamsMax: STREAMS_MAX };

  constructor() {
    super(`This process has ${STREAMS_MAX} streams of the account open already.`);
  }
}

/**
 * Every stream of events that gateways have open at this process. A stream ends when its token is no longer good, when
 * this process does not hear of changes itself, and when the process stops; the gateway comes back with the id of the
 * last event and is told what it missed.
 */
@Injectable()
export class EventStreams implements OnApplicationBootstrap, BeforeApplicationShutdown {
  private readonly logger = new Logger('EventStreams');
  private readonly streams = new Map<string, Set<EventStream>>();
  private timer: NodeJS.Timeout | null = null;
  private stopped = false;

  constructor(
    private readonly events: PolicyEvents,
    private readonly history: PolicyHistory,
    private readonly authenticator: Authenticator,
  ) {
    events.subscribe((change) => this.tell(change));
    events.onLoss(() => this.endAll());
  }

  onApplicationBootstrap(): void {
    this.timer = setInterval(() => this.ping(), PING_MS);
    this.timer.unref();
  }

  /** Before the server closes, which waits for every answer to end. */
  beforeApplicationShutdown(): void {
    this.stopped = true;
    if (this.timer) clearInterval(this.timer);
    this.endAll();
  }

  /** Throws when no stream can be opened now. To be asked before the answer begins. */
  check(accountId: string): void {
    if (this.stopped || !this.events.isListening) throw new NotListening();
    if ((this.streams.get(accountId)?.size ?? 0) >= STREAMS_MAX) throw new TooManyStreams();
  }

  /** Opens a stream, which continues after the event of that id; without one it begins with a reset. */
  async open(
    who: { readonly accountId: string; readonly token: string },
    response: ServerResponse,
    lastEventId: string,
  ): Promise<void> {
    const stream = new EventStream(who.accountId, who.token, response);
    const ofAccount = this.streams.get(who.accountId) ?? new Set();
    this.streams.set(who.accountId, ofAccount.add(stream));
    response.on('close', () => {
      ofAccount.delete(stream);
      if (ofAccount.size === 0 && this.streams.get(who.accountId) === ofAccount)
        this.streams.delete(who.accountId);
    });
    const last = parsePlace(lastEventId);
    stream.hold();
    try {
      // The place is read first: what comes later is held back, or comes after it.
      const { place } = this.events;
      stream.release(last && (await this.history.since(who.accountId, last)), place);
    } catch (error) {
      this.logger.warn(`A stream cannot be told what it missed: ${messageOf(error)}`);
      stream.end();
    }
  }

  private tell(change: PolicyChange): void {
    // Streams were ended when news stopped coming; there is none before it comes.
    if (change === null) return this.endAll();
    for (const stream of this.streams.get(change.accountId) ?? []) {
      stream.tell(change);
      if (change.keyId === undefined) void this.endUnlessGood(stream);
    }
  }

  private async endUnlessGood(stream: EventStream): Promise<void> {
    try {
      const principal = await this.authenticator.principal(stream.token);
      if (principal?.kind === 'gateway' && principal.accountId === stream.accountId) return;
    } catch (error) {
      this.logger.warn(`A stream's token cannot be checked: ${messageOf(error)}`);
    }
    stream.end();
  }

  private ping(): void {
    for (const ofAccount of this.streams.values()) {
      for (const stream of ofAccount) {
        stream.ping();
        void this.endUnlessGood(stream);
      }
    }
  }

  private endAll(): void {
    for (const ofAccount of this.streams.values()) for (const stream of ofAccount) stream.end();
  }
}
