import {
  Injectable,
  Logger,
  type OnApplicationBootstrap,
  type OnApplicationShutdown,
} from '@nestjs/common';
import pg from 'pg';
import { Config } from '../config/config.js';

/** What changed: one key, one token, or anything of an account. `null`: news may have been missed, forget all. */
export type PolicyChange = {
  readonly accountId: string;
  readonly keyId?: string;
  readonly tokenId?: string;
} | null;

type Listener = (change: PolicyChange) => void;

const CHANNEL = 'tollgate_policy';
const RECONNECT_MS = 500;

/**
 * Tells this process of every change of policy, whoever made it: the database sends the news on commit
 * (triggers `tell`). When the connection was lost, listeners forget everything they know as soon as it is back; until
 * then what they know is all there is, and their own time limits are the net.
 */
@Injectable()
export class PolicyEvents implements OnApplicationBootstrap, OnApplicationShutdown {
  private readonly logger = new Logger('PolicyEvents');
  private readonly listeners: Listener[] = [];
  private client: pg.Client | null = null;
  private timer: NodeJS.Timeout | null = null;
  private stopped = false;

  constructor(private readonly config: Config) {}

  subscribe(listener: Listener): void {
    this.listeners.push(listener);
  }

  async onApplicationBootstrap(): Promise<void> {
    await this.connect();
  }

  async onApplicationShutdown(): Promise<void> {
    this.stopped = true;
    if (this.timer) clearTimeout(this.timer);
    const client = this.client;
    this.client = null;
    await client?.end();
  }

  private async connect(): Promise<void> {
    const client = new pg.Client({
      connectionString: this.config.databaseUrl,
      application_name: 'tollgate policy events',
      keepAlive: true,
    });
    client.on('notification', ({ payload }) =>
      this.tell(JSON.parse(payload ?? 'null') as PolicyChange),
    );
    client.on('error', (error) => this.lose(client, error));
    client.on('end', () => this.lose(client, new Error('the connection ended')));
    try {
      await client.connect();
      await client.query(`LISTEN ${CHANNEL}`);
      this.client = client;
      this.tell(null);
    } catch (error) {
      await client.end().catch(() => undefined);
      this.retry(error);
    }
  }

  private lose(client: pg.Client, error: Error): void {
    if (this.client !== client) return;
    this.client = null;
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

  private tell(change: PolicyChange): void {
    for (const listener of this.listeners) listener(change);
  }
}
