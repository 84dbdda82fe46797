import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';
import type { AddressInfo } from 'node:net';

/** When the process dies: before a statement reaches PostgreSQL, or after, without hearing what became of it. */
export type Moment = 'before' | 'after';

const QUERY = 'Q'.charCodeAt(0);
const SYNC = 'S'.charCodeAt(0);

/**
 * A wire to PostgreSQL on which a process can die at an exact statement: all of its connections end then, as they do when it
 * is killed, and the database rolls back what was not committed. Later connections come through once it is disarmed: until then the
 * process is dead, and nothing of it goes on.
 */
export class CrashingWire {
  /** By connection: the client's end, and the server's. */
  private readonly pairs = new Set<{ readonly near: Socket; readonly far: Socket }>();
  /** Sessions that died, until the server has ended them. */
  private dead: Promise<unknown> = Promise.resolve();
  private statementsLeft = Infinity;
  private moment: Moment = 'before';

  private constructor(
    private readonly server: Server,
    /** The same database, by way of this wire. */
    readonly url: string,
  ) {}

  static async to(databaseUrl: string): Promise<CrashingWire> {
    const target = new URL(databaseUrl);
    const server = createServer();
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const url = new URL(databaseUrl);
    url.hostname = '127.0.0.1';
    url.port = String((server.address() as AddressInfo).port);
    const wire = new CrashingWire(server, url.href);
    server.on('connection', (near) => {
      if (wire.isDead) {
        near.destroy();
        return;
      }
      const far = connect(Number(target.port || 5432), target.hostname);
      wire.join(near, far);
    });
    return wire;
  }

  private get isDead(): boolean {
    return this.statementsLeft <= 0;
  }

  /** Dies at the n-th statement from now on, counted over all connections. */
  crashAt(statement: number, moment: Moment): void {
    this.statementsLeft = statement;
    this.moment = moment;
  }

  /**
   * Dies no more; answers whether it did since `crashAt`, once the server has ended the sessions that died: until then they may hold locks,
   * by which others pass over rows.
   */
  async disarm(): Promise<boolean> {
    await this.dead;
    const hasCrashed = this.isDead;
    this.statementsLeft = Infinity;
    return hasCrashed;
  }

  stop(): void {
    this.server.close();
    for (const { near, far } of this.pairs) for (const socket of [near, far]) socket.destroy();
  }

  private join(near: Socket, far: Socket): void {
    const statementsIn = statementCounter();
    const pair = { near, far };
    this.pairs.add(pair);
    for (const socket of [near, far]) socket.on('error', () => undefined);
    // The server ends the session when it is done with it, and closes its end.
    near.on('close', () => far.end());
    far.on('close', () => {
      this.pairs.delete(pair);
      near.destroy();
    });
    far.on('data', (bytes) => near.write(bytes));
    near.on('data', (bytes) => {
      const isCrash = this.counts(statementsIn(bytes));
      if (!isCrash) {
        far.write(bytes);
        return;
      }
      // What was sent gets there before the end does.
      if (this.moment === 'after') far.write(bytes);
      const dying = [...this.pairs];
      this.dead = Promise.all(
        dying.map(async ({ far }) => new Promise((ended) => void far.on('close', ended))),
      );
      for (const one of dying) {
        one.near.destroy();
        one.far.end();
      }
    });
  }

  private counts(statements: number): boolean {
    if (this.isDead || statements === 0) return false;
    this.statementsLeft -= statements;
    return this.isDead;
  }
}

/** Counts the statements in what a client sends: simple queries, and the ends of extended ones. */
function statementCounter(): (bytes: Buffer) => number {
  let rest = Buffer.alloc(0);
  let isStarted = false;
  return (bytes) => {
    rest = Buffer.concat([rest, bytes]);
    let statements = 0;
    for (;;) {
      // The first message of a connection has no type.
      const at = isStarted ? 1 : 0;
      if (rest.length < at + 4) return statements;
      const length = at + rest.readInt32BE(at);
      if (rest.length < length) return statements;
      if (isStarted && (rest[0] === QUERY || rest[0] === SYNC)) statements += 1;
      isStarted = true;
      rest = rest.subarray(length);
    }
  };
}
