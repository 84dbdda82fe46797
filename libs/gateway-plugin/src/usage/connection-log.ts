/** A connection that was opened, and what its minutes are charged to. */
export interface OpenedConnection {
  /** Once within the epoch. */
  readonly id: string;
  /** In milliseconds of business time. */
  readonly at: number;
  readonly keyId: string;
  readonly apiId: string;
  readonly stage: string;
}

/** What a batch tells of connections: the service counts their minutes. Instants are ISO 8601 in UTC. */
export interface ToldConnections {
  /** The heartbeat: what was opened up to this batch, and not closed, was open then. */
  readonly at: string;
  readonly opened: readonly (Omit<OpenedConnection, 'at'> & { readonly at: string })[];
  readonly closed: readonly { readonly id: string; readonly at: string }[];
}

interface Closed {
  readonly id: string;
  readonly at: number;
}

/** How often a process with open connections says that it lives, when it has nothing else to say. */
export const HEARTBEAT_MS = 30_000;
/** How many connections a batch opens, and as many closes. */
const TOLD_MAX = 5_000;
/** How many openings may wait to be told. */
const WAITING_MAX = 200_000;

const isoOf = (ms: number): string => new Date(ms).toISOString();

/**
 * What is to be told of this process's connections: each is opened and closed once, and one heartbeat keeps all alive.
 * Every opening and every closing is in exactly one part taken.
 */
export class ConnectionLog {
  private opened: OpenedConnection[] = [];
  private closed: Closed[] = [];
  private open = 0;
  private beatAt = Number.NEGATIVE_INFINITY;
  private readonly retold = new Set<string>();

  constructor(private readonly now: () => number) {}

  /** How many openings and closings wait to be told. */
  get waiting(): number {
    return this.opened.length + this.closed.length;
  }

  /** False when too many wait; the caller may try again. */
  add(connection: OpenedConnection): boolean {
    if (this.opened.length >= WAITING_MAX) return false;
    this.opened.push(connection);
    this.open += 1;
    return true;
  }

  /** A connection that was added is over. */
  close(id: string, at: number): void {
    this.closed.push({ id, at });
    this.open -= 1;
  }

  /** Takes what waits, or a heartbeat that is due; undefined when there is nothing to tell. */
  take(): ToldConnections | undefined {
    const now = this.now();
    const isDue = this.open > 0 && Math.abs(now - this.beatAt) >= HEARTBEAT_MS;
    if (this.waiting === 0 && !isDue) return undefined;
    const opened = this.opened.slice(0, TOLD_MAX);
    const closed = this.closed.slice(0, TOLD_MAX);
    this.opened = this.opened.slice(TOLD_MAX);
    this.closed = this.closed.slice(TOLD_MAX);
    // What is closed and not told yet was not open any more.
    const at = this.closed.reduce((earliest, one) => Math.min(earliest, one.at), now);
    this.beatAt = at;
    return {
      at: isoOf(at),
      opened: opened.map((one) => ({ ...one, at: isoOf(one.at) })),
      closed: closed.map((one) => ({ ...one, at: isoOf(one.at) })),
    };
  }

  /** The service will never take this part: its closings are told once more, or heartbeats would keep them alive. */
  refused({ closed }: Pick<ToldConnections, 'closed'>): void {
    for (const { id, at } of closed) {
      if (this.retold.has(id)) continue;
      this.retold.add(id);
      this.closed.push({ id, at: Date.parse(at) });
    }
  }
}
