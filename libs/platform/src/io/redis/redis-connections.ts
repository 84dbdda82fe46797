import { Injectable, type OnApplicationShutdown } from '@nestjs/common';
import type { Cluster, Redis } from 'ioredis';
import { Config } from '../config/config.js';
import { connectRedis, type ConnectionOptions } from './connect-redis.js';

/** The connections of this process to the Redis of `REDIS_URL`. They close last, since this is global: whoever uses one has to stop first. */
@Injectable()
export class RedisConnections implements OnApplicationShutdown {
  private readonly clients: (Redis | Cluster)[] = [];

  constructor(private readonly config: Config) {}

  /** A new connection, which goes on trying to connect until the process stops. Null when there is no Redis. */
  open(options: ConnectionOptions): Redis | Cluster | null {
    if (!this.config.redis) return null;
    const client = connectRedis(this.config.redis, options);
    // Whoever asks hears of it from the answer; without a listener ioredis prints every attempt.
    client.on('error', () => undefined);
    this.clients.push(client);
    return client;
  }

  onApplicationShutdown(): void {
    for (const client of this.clients) client.disconnect();
  }
}
