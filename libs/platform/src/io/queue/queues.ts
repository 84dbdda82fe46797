import { createPostgresBackend, setDefaultBackendFactory, type ConnectionOptions } from 'bullmq';
import pg from 'pg';
import type { Config } from '../config/config.js';
import { Client } from '../database/client.js';

/**
 * Where BullMQ keeps its jobs: in Redis when there is one, else in the `bullmq` schema of the same Postgres. A job
 * is only a wake-up that carries ids, so nothing is lost when a queue is.
 */
export function queueOptions(config: Config): {
  connection: ConnectionOptions;
  defaultJobOptions: object;
} {
  const defaultJobOptions = {
    removeOnComplete: 100,
    removeOnFail: 1_000,
    attempts: 5,
    backoff: { type: 'exponential', delay: 1_000 },
  };
  if (config.redisUrl !== null) {
    setDefaultBackendFactory();
    const [first = ''] = config.redisUrl.split(',');
    return {
      connection: { url: first, maxRetriesPerRequest: null },
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
    schema: 'bullmq',
    migrate: true,
  };
  return { connection, defaultJobOptions };
}
