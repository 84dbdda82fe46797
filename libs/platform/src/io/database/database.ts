import { Injectable, type OnApplicationShutdown } from '@nestjs/common';
import { PrismaPg } from '@prisma/adapter-pg';
import pg from 'pg';
import { Config } from '../config/config.js';
import { Client } from './client.js';
import { PrismaClient } from './generated/client.js';

export { Prisma } from './generated/client.js';

const POOL_SIZE = 10;
/** A transaction may wait for its turn on a busy pool; one that is open longer than the timeout is rolled back. */
const TRANSACTION = { maxWait: 10_000, timeout: 20_000 };

/**
 * Postgres: Prisma Client for reads and writes by key, `$queryRaw` for set-based statements, and the pool itself
 * for what only the driver can do (COPY, LISTEN). A statement that takes longer than 30 s is broken off.
 */
@Injectable()
export class Database extends PrismaClient implements OnApplicationShutdown {
  readonly pool: pg.Pool;

  constructor(config: Config) {
    const pool = new pg.Pool({
      connectionString: config.databaseUrl,
      Client,
      max: POOL_SIZE,
      application_name: 'tollgate',
      statement_timeout: 30_000,
      idle_in_transaction_session_timeout: 10_000,
      connectionTimeoutMillis: 5_000,
      // Prisma writes an instant without its zone, which the server would take for its own. The pool waits for it,
      // whatever its types say, and takes no connection where it failed.
      // oxlint-disable-next-line typescript/no-misused-promises
      onConnect: (client) => client.query(`SET TIME ZONE 'UTC'`),
    });
    // An idle connection that breaks is replaced; without a listener it would end the process.
    pool.on('error', () => undefined);
    super({ adapter: new PrismaPg(pool), transactionOptions: TRANSACTION });
    this.pool = pool;
  }

  async onApplicationShutdown(): Promise<void> {
    await this.$disconnect();
    if (!this.pool.ended) await this.pool.end();
  }
}
