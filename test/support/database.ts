import { randomBytes } from 'node:crypto';
import pg from 'pg';
import { inject, onTestFinished } from 'vitest';
import { afterFile } from './after-file.js';
import { withDatabase } from './test-server.js';

/**
 * Creates a database of this test file's own, with every migration applied and no rows of other files, and returns its
 * connection string. It is dropped after the file, when all have left it: whoever stays for more than five seconds fails it.
 *
 * Call it in `beforeAll` or at the top of the file. A second call makes a second database.
 */
export async function createTestDatabase(): Promise<string> {
  const { adminUrl, ownerUrl, template } = inject('testServer');
  const name = `test_${randomBytes(6).toString('hex')}`;
  const owner = new URL(ownerUrl).username;
  await run(
    adminUrl,
    (client) => `CREATE DATABASE ${name} TEMPLATE ${template}
      OWNER ${client.escapeIdentifier(owner)} STRATEGY FILE_COPY`,
  );
  afterFile(() => run(adminUrl, () => `DROP DATABASE ${name}`));
  return withDatabase(ownerUrl, name);
}

/** Creates a database without tables, for tests of the migrations themselves; otherwise as `createTestDatabase`. */
export async function createEmptyDatabase(): Promise<string> {
  const { adminUrl, ownerUrl } = inject('testServer');
  const name = `test_${randomBytes(6).toString('hex')}`;
  const owner = new URL(ownerUrl).username;
  await run(
    adminUrl,
    (client) => `CREATE DATABASE ${name} OWNER ${client.escapeIdentifier(owner)}`,
  );
  onTestFinished(() => run(adminUrl, () => `DROP DATABASE IF EXISTS ${name} WITH (FORCE)`));
  return withDatabase(ownerUrl, name);
}

async function run(url: string, sql: (client: pg.Client) => string): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    await client.query(sql(client));
  } finally {
    await client.end();
  }
}
