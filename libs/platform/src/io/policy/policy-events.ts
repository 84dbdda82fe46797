import { randomUUID } from 'node:crypto';
import {
  Injectable,
  Logger,
  type OnApplicationBootstrap,
  type OnApplicationShutdown,
} from '@nestjs/common';
import pg from 'pg';
import { Durations } from '@core/kernel';
import { SystemClock } from '../clock/system-clock.js';
import { Config } from '../config/config.js';
import { HeardChanges, parsePlace, placeText, type ChangePlace } from './change-place.js';
import { NotListening } from './errors.js';

/** What changed: one key, one token, or anything of an account. `null`: news may have been missed, forget all. */
export type PolicyChange = {
  readonly accountId: string;
  readonly keyId?: string;
  readonly tokenId?: string;
  /** Names the change, the same for every process; a change of a token has none. */
  readonly id?: string;
} | null;

type Listener = (change: PolicyChange) => void;

/** What comes over the channel: a change (`tell_policy_change`), or the echo of a process that listens for itself. */
type News =
  | ({
      readonly accountId: string;
      readonly keyId?: string;
      readonly tokenId?: string;
      /** By the clock of the database; a change of a token has none. */
      readonly sentAtMs?: number;
    } & Partial<ChangePlace>)
  | { readonly echo: string; readonly horizon: number };

const CHANNEL = 'tollgate_policy';
const RECONNECT_MS = 500;
/** How often a process asks whether it still hears: a network that is cut says nothing by itself. */
const ECHO_EVERY_MS = 5_000;
const ECHO_MS_MAX = 2_000;

/** $1 is the channel, $2 the echo's name. */
const SEND_ECHO = `
  SELECT pg_notify($1, jsonb_build_object('echo', $2::text,
    'horizon', pg_snapshot_xmin(pg_current_snapshot())::text::bigint)::text)`;

/**
 * Tells this process of every change of policy, whoever made it: the database sends the news on commit
 * (triggers `tell`). When the connection was lost, listeners forget everything they know as soon as it is back; until
 * then what they know is all there is, and their own time limits are the net.
 */
@Injectable()
export class PolicyEvents implements OnApplicationBootstrap, OnApplicationShutdown {
  private readonly logger = new Logger('PolicyEvents');
  private readonly listeners: Listener[] = [];
  private readonly lossListeners: (() => void)[] = [];
  private readonly echoes = new Map<string, () => void>();
  private heard = new HeardChanges();
  private client: pg.Client | null = null;
  private timer: NodeJS.Timeout | null = null;
  private echoTimer: NodeJS.Timeout | null = null;
  private stopped = false;
  /** From a change to when this process has heard of it, as far as its clock and the database's agree. */
  readonly propagation = new Durations();

  constructor(
    private readonly config: Config,
    private readonly clock: SystemClock,
  ) {}

  subscribe(listener: Listener): void {
    this.listeners.push(listener);
  }

  /** Called when news stops coming. `null` is told to subscribers when it comes again. */
  onLoss(listener: () => void): void {
    this.lossListeners.push(listener);
  }

  /** Whether news comes in. */
  get isListening(): boolean {
    return this.client !== null;
  }

  /** The id of a place before which everything has been heard. */
  get place(): string {
    return placeText(this.heard.place);
  }

  /** Resolves when this process has heard the change of that id, which another has. Rejects when it cannot hear. */
  async reach(id: string): Promise<void> {
    const place = parsePlace(id);
    if (place && !this.heard.covers(place)) await this.echo();
  }

  async onApplicationBootstrap(): Promise<void> {
    await this.connect();
    this.echoTimer = setInterval(() => {
      const { client } = this;
      if (client) this.echo().catch((error: unknown) => this.lose(client, error));
    }, ECHO_EVERY_MS);
    this.echoTimer.unref();
  }

  async onApplicationShutdown(): Promise<void> {
    this.stopped = true;
    if (this.timer) clearTimeout(this.timer);
    if (this.echoTimer) clearInterval(this.echoTimer);
    const client = this.client;
    this.client = null;
    await client?.end();
  }

  /** Resolves when everything that was committed until now has been heard: news comes in the order of commits. */
  private async echo(): Promise<void> {
    const { client } = this;
    if (!client) throw new NotListening();
    const name = randomUUID();
    let timer: NodeJS.Timeout | undefined;
    try {
      await new Promise<void>((resolve, reject) => {
        timer = setTimeout(() => reject(new NotListening()), ECHO_MS_MAX);
        this.echoes.set(name, resolve);
        client.query(SEND_ECHO, [CHANNEL, name]).catch(reject);
      });
    } finally {
      clearTimeout(timer);
      this.echoes.delete(name);
    }
  }

  private async connect(): Promise<void> {
    const client = new pg.Client({
      connectionString: this.config.databaseUrl,
      application_name: 'tollgate policy events',
      keepAlive: true,
      connectionTimeoutMillis: 5_000,
      query_timeout: 5_000,
    });
    client.on('notification', ({ payload }) => this.hear(JSON.parse(payload ?? 'null') as News));
    client.on('error', (error) => this.lose(client, error));
    client.on('end', () => this.lose(client, new Error('the connection ended')));
    try {
      await client.connect();
      await client.query(`LISTEN ${CHANNEL}`);
      const { rows } = await client.query<{ horizon: string }>(
        'SELECT pg_snapshot_xmin(pg_current_snapshot())::text AS horizon',
      );
      this.heard = new HeardChanges();
      this.heard.hearUntil(Number(rows[0]?.horizon ?? 0));
      this.client = client;
      this.tell(null);
    } catch (error) {
      await client.end().catch(() => undefined);
      this.retry(error);
    }
  }

  private lose(client: pg.Client, error: unknown): void {
    if (this.client !== client) return;
    this.client = null;
    void client.end().catch(() => undefined);
    for (const listener of this.lossListeners) listener();
    this.retry(error);
  }

  private retry(error: unknown): void {
    if (this.stopped || this.timer) return;
    this.logger.warn(
      `No news of policy changes: ${error instanceof Error ? error.message : String(error)}`,
    );
    this.timer = setTimeout(() => {
      this.timer = null;
      void this.connect();
    }, RECONNECT_MS);
  }

  private hear(news: News | null): void {
    if (news && 'echo' in news) {
      this.heard.hearUntil(news.horizon);
      this.echoes.get(news.echo)?.();
      return;
    }
    if (!news) return this.tell(null);
    const { transaction, horizon, sentAtMs, ...change } = news;
    if (transaction === undefined || horizon === undefined) {
      this.tell(change);
    } else {
      this.heard.hear({ transaction, horizon });
      this.tell({ ...change, id: placeText({ transaction, horizon }) });
    }
    // Listeners have forgotten by now what they knew.
    if (sentAtMs !== undefined) this.propagation.add(Math.max(0, this.clock.nowMs() - sentAtMs));
  }

  private tell(change: PolicyChange): void {
    for (const listener of this.listeners) listener(change);
  }
}
