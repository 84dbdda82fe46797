/** What an operator should know of. No event holds a key or a token. */
export type TollgateEvent =
  /**
   * The service does not answer any more. Until it does, calls are decided on with what is in hand, then as their plan
   * says, or by the option `onFailure` where the plan is not known.
   */
  | { readonly type: 'service-away'; readonly cause: string }
  | { readonly type: 'service-back' }
  /** The stream of policy changes ended, or could not be opened: policies are asked for again every 30 s meanwhile. */
  | { readonly type: 'news-lost'; readonly cause: string }
  | { readonly type: 'news-open' }
  /** The service refused the question itself (a wrong token, api or path): the call was answered 403. */
  | { readonly type: 'question-refused'; readonly status: number }
  /** Something else takes upgrades of a guarded server, so that its WebSockets are not guarded. Told once a server. */
  | { readonly type: 'upgrade-unguarded' }
  /** The application sent a message over Amazon's limit, in bytes: it was not sent. */
  | { readonly type: 'message-not-sent'; readonly bytes: number }
  /** A call, message or connection passed that cannot be metered, since nobody could say whose key it carried. */
  | { readonly type: 'call-unmetered'; readonly method: string }
  /** A batch is not acknowledged yet; it is sent again until it is. */
  | {
      readonly type: 'batch-delayed';
      readonly sequence: number;
      readonly tries: number;
      readonly cause: string;
    }
  /** The service has other content under this number, or refuses this one: its number stays a visible gap. */
  | {
      readonly type: 'batch-conflict' | 'batch-refused';
      readonly epoch: string;
      readonly sequence: number;
      readonly status: number;
      readonly answer: string;
      readonly body: string;
    }
  /** The service keeps records of a batch that it cannot count, and holds invoices until they are corrected or dropped. */
  | {
      readonly type: 'usage-quarantined';
      readonly epoch: string;
      readonly sequence: number;
      readonly records: number;
      readonly reasons: readonly string[];
    }
  /** A call passed for which there was no memory left. */
  | { readonly type: 'usage-dropped'; readonly calls: number }
  /** Calls that passed were still unsent when the time for closing was over. */
  | { readonly type: 'usage-unsent'; readonly records: number; readonly isSpooled: boolean }
  /** The spool folder could not be written or read; usage stays in memory. */
  | { readonly type: 'spool-failed'; readonly cause: string };

/** Receives events, synchronously; it must not throw. */
export type EventListener = (event: TollgateEvent) => void;

const WARNING_PAUSE_MS = 10_000;

/** Node process warnings, each type at most once in 10 s: what happens when no listener is given. */
export function warnings(): EventListener {
  const warnedAt = new Map<string, number>();
  return (event) => {
    const now = Date.now();
    if (now - (warnedAt.get(event.type) ?? -Infinity) < WARNING_PAUSE_MS) return;
    warnedAt.set(event.type, now);
    const facts = Object.entries(event).filter(([name]) => name !== 'type' && name !== 'body');
    const detail = facts.map(([name, value]) => `${name}=${String(value)}`).join(' ');
    process.emitWarning(`${event.type} ${detail}`, 'TollgateWarning');
  };
}
