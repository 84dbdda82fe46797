import { setTimeout as sleep } from 'node:timers/promises';
import { Cluster, Redis, type RedisOptions } from 'ioredis';
import { clusterNode, type RedisPlace } from './redis-place.js';

/** What may be said of a connection, whichever kind of Redis it leads to. */
export type ConnectionOptions = Pick<
  RedisOptions,
  'connectTimeout' | 'socketTimeout' | 'maxRetriesPerRequest' | 'reconnectOnError'
> & {
  /** False: a command fails at once while there is no connection. */
  readonly enableOfflineQueue: boolean;
};

/** How long to wait before the next attempt to connect. */
const retryStrategy = (attempts: number) => Math.min(attempts * 50, 500);
/** How often the client of a Cluster asks who has which slots: so long a failover may go unnoticed. */
const SLOTS_REFRESH_MS = 1_000;
const POLL_MS = 5;

/**
 * Makes a client of whichever kind of Redis this is. It connects at once and in the background, and again whenever it
 * has to; listen for its errors.
 *
 * Autopipelining stays off: it sends in lock-step, which costs a third of the throughput.
 */
export function connectRedis(place: RedisPlace, options: ConnectionOptions): Redis | Cluster {
  const common = { ...options, retryStrategy, enableAutoPipelining: false };
  switch (place.kind) {
    case 'alone':
      return new Redis(place.url, common);
    case 'cluster': {
      const { enableOfflineQueue, ...ofNode } = options;
      const nodes = place.urls.map(clusterNode);
      const tls = place.urls[0]?.startsWith('rediss:') ? { tls: {} } : {};
      const cluster = new Cluster(
        nodes.map(({ host, port }) => ({ host, port })),
        {
          enableOfflineQueue,
          enableAutoPipelining: false,
          clusterRetryStrategy: retryStrategy,
          slotsRefreshInterval: SLOTS_REFRESH_MS,
          // Whoever asked has given up by then.
          ...(enableOfflineQueue ? {} : { retryDelayOnFailover: 0, retryDelayOnClusterDown: 0 }),
          redisOptions: { ...ofNode, ...credentials(nodes[0]), ...tls },
        },
      );
      // Or the first question to each would be what connects it, and those beside it would fail.
      cluster.on('+node', (node: Redis) => void node.connect().catch(() => undefined));
      return cluster;
    }
    case 'sentinel': {
      const { sentinels, primary, isTls } = place;
      const { username, password } = credentials(place);
      return new Redis({
        ...common,
        sentinels: [...sentinels],
        name: primary,
        sentinelRetryStrategy: retryStrategy,
        // One secret for servers and Sentinels, as Redis' own documentation of Sentinel advises.
        ...(username === undefined ? {} : { username, sentinelUsername: username }),
        ...(password === undefined ? {} : { password, sentinelPassword: password }),
        ...(isTls ? { tls: {}, sentinelTLS: {}, enableTLSForSentinelMode: true } : {}),
      });
    }
  }
}

/** Resolves when every server that a command may go to is connected; rejects when they are not by then. */
export async function connected(client: Redis | Cluster, withinMs: number): Promise<void> {
  for (const late = performance.now() + withinMs; ; await sleep(POLL_MS)) {
    const servers = client instanceof Cluster ? client.nodes('master') : [client];
    const isReady = servers.length > 0 && servers.every(({ status }) => status === 'ready');
    if (isReady && client.status === 'ready') return;
    if (performance.now() > late) throw new Error(`Redis cannot be reached in ${withinMs} ms.`);
  }
}

function credentials(
  place: { username: string | null; password: string | null } | undefined,
): Pick<RedisOptions, 'username' | 'password'> {
  return {
    ...(place?.username ? { username: place.username } : {}),
    ...(place?.password ? { password: place.password } : {}),
  };
}
