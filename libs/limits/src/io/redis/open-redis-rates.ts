import { Logger } from '@nestjs/common';
import { Cluster, type Redis } from 'ioredis';
import {
  connected,
  InvalidSettings,
  messageOf,
  type RedisConnections,
  type SystemClock,
} from '@io/platform';
import { RedisRateAuthority } from './redis-rate-authority.js';

/** How long the start waits for Redis. Without it calls are answered as their plan says, until it is there. */
const START_MS = 2_000;

/**
 * The authority over the Redis of `REDIS_URL`; null without one. Refuses to start on a Redis that throws keys away when it
 * is full: a bucket that is gone is full again, and nobody would see it.
 */
export async function openRedisRates(
  connections: RedisConnections,
  clock: SystemClock,
): Promise<RedisRateAuthority | null> {
  const redis = connections.open({
    enableOfflineQueue: false,
    maxRetriesPerRequest: 0,
    connectTimeout: 1_000,
    // A server that hears and does not answer, or is behind a network that is cut, is connected to anew.
    socketTimeout: 2_000,
    // A primary that has become a replica: the connection leads to the wrong server.
    reconnectOnError: ({ message }) => message.startsWith('READONLY'),
  });
  if (!redis) return null;
  const logger = new Logger('RedisRates');
  try {
    await connected(redis, START_MS);
    await checkEviction(redis, logger);
  } catch (error) {
    if (error instanceof InvalidSettings) {
      redis.disconnect();
      throw error;
    }
    logger.error(`Rates begin without Redis: ${messageOf(error)}`);
    redis.once('ready', () => {
      checkEviction(redis, logger).catch((fault: unknown) => logger.error(messageOf(fault)));
    });
  }
  return new RedisRateAuthority(redis, () => clock.monotonicMs(), {
    tell: (node, error) => {
      if (error === null) logger.log(`The node ${node} of Redis answers again.`);
      else logger.error(`The node ${node} of Redis does not answer: ${messageOf(error)}`);
    },
  });
}

async function checkEviction(redis: Redis | Cluster, logger: Logger): Promise<void> {
  const servers = redis instanceof Cluster ? redis.nodes('master') : [redis];
  for (const server of servers) {
    let policy;
    try {
      [, policy] = await server.config('GET', 'maxmemory-policy');
    } catch (error) {
      logger.warn(
        `Redis does not let maxmemory-policy be read (${messageOf(error)}): see that it is noeviction.`,
      );
      return;
    }
    if (policy !== 'noeviction') {
      throw new InvalidSettings([
        `REDIS_URL names a Redis whose maxmemory-policy is ${policy}: set it to noeviction, or limits are forgotten when it is full.`,
      ]);
    }
  }
}
