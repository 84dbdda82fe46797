import { createPostgresBackend, setDefaultBackendFactory, type ConnectionOptions } from 'bullmq';
import pg from 'pg';
import type { Config } from '../config/config.js';
import { Client } from '../database/client.js';
import type { RedisConnections } from '../redis/redis-connections.js';

/**
 * How every processor takes back a job whose end nobody heard, since its worker or the queue's database was killed. Until
 * then it is thought to be running and keeps back its schedule: by BullMQ's own numbers for up to a minute, and once
 * only. Each job can run twice, so a lock that is lost while its worker lives does no harm.
 */
export const RECOVERY = {
  lockDuration: 6_000,
  stalledInterval: 3_000,
  maxStalledCount: 1_000_000,
} as const;

/**
 * Where BullMQ keeps its jobs: in Redis when there is one, else in the `bullmq` schema of the same Postgres. A job
 * is only a wake-up that carries ids, so nothing is lost when a queue is.
 */
export function queueOptions(
  config: Config,
  redis: RedisConnections,
): { connection: ConnectionOptions; prefix?: string; defaultJobOptions: object } {
  const defaultJobOptions = {
    removeOnComplete: 100,
    removeOnFail: 1_000,
    attempts: 5,
    backoff: { type: 'exponential', delay: 1_000 },
  };
  const client = redis.open({ enableOfflineQueue: true, maxRetriesPerRequest: null });
  if (client) {
    setDefaultBackendFactory();
    // In a Cluster all keys of a script have to be in one slot.
    return {
      connection: client,
      ...(client.isCluster ? { prefix: '{bull}' } : {}),
      defaultJobOptions,
    };
  }
  setDefaultBackendFactory(createPostgresBackend);
  // BullMQ makes its LISTEN client by itself and listens for its errors only once it is connected: a server that dies
  // in between would end the process. It takes the class from the module, so there it finds ours.
  Object.assign(pg, { Client });
  const connection = {
    connectionString: config.databaseUrl,
    Client,
    // Each queue and each worker has a pool of its own, beside the connection that listens: a process with twenty of them
    // would take all that a server gives.
    max: 1,
    schema: 'bullmq',
    migrate: true,
    // A job that is lost or comes back with a crash does no harm, and a disk that is busy is not waited for at each of them.
    options: '-c synchronous_commit=off',
  };
  return { connection, defaultJobOptions };
}
