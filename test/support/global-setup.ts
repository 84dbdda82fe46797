import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import type { TestProject } from 'vitest/node';
import { startPostgres } from '../../scripts/embedded-postgres.mjs';
import { applyMigrations } from '../../scripts/migrate.mjs';
import { type TestServer, withDatabase } from './test-server.js';

interface Running {
  readonly server: Promise<TestServer>;
  readonly stop: () => Promise<void>;
  users: number;
}

/** One server for all projects of the run. Each project loads this module anew, so it is kept where all of them look. */
const shared: { running?: Running } = ((globalThis as Record<symbol, unknown>)[
  Symbol.for('tollgate.test-server')
] ??= {});

/** Called by Vitest once for each project that needs a database; the last of them to leave stops the server. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const running = (shared.running ??= start());
  running.users += 1;
  const leave = async () => {
    running.users -= 1;
    if (running.users > 0) return;
    delete shared.running;
    await running.stop();
  };
  try {
    project.provide('testServer', await running.server);
  } catch (error) {
    await leave();
    throw error;
  }
  return leave;
}

function start(): Running {
  const given = process.env['TEST_DATABASE_URL'];
  const { urls, stop } = given
    ? { urls: Promise.resolve({ adminUrl: given, ownerUrl: given }), stop: async () => {} }
    : startEmbedded();

  const template = `tollgate_template_${process.pid}`;
  const server = urls.then(async (urls) => {
    const owner = new URL(urls.ownerUrl).username;
    await onServer(urls.adminUrl, async (client) => {
      await client.query(`DROP DATABASE IF EXISTS ${template}`);
      await client.query(`CREATE DATABASE ${template} OWNER ${client.escapeIdentifier(owner)}`);
    });
    await applyMigrations({ connectionString: withDatabase(urls.ownerUrl, template) });
    await onServer(urls.adminUrl, (client) =>
      client.query(`ALTER DATABASE ${template} ALLOW_CONNECTIONS false`),
    );
    return { ...urls, template };
  });
  return {
    server,
    users: 0,
    stop: async () => {
      if (given) {
        await onServer(given, (client) => client.query(`DROP DATABASE IF EXISTS ${template}`));
      }
      await stop();
    },
  };
}

/** A server below the temporary folder, so that no developer's data is ever in reach. */
function startEmbedded() {
  const home = mkdtempSync(join(tmpdir(), 'tollgate-test-'));
  const started = startPostgres({
    home,
    isDurable: false,
    settings: ['max_connections=600', 'shared_buffers=64MB', 'log_min_messages=fatal'],
  });
  return {
    urls: started.then((postgres) => ({
      adminUrl: postgres.adminConnectionString('postgres'),
      ownerUrl: postgres.connectionString('postgres'),
    })),
    stop: async () => {
      try {
        await (await started).stop();
      } finally {
        rmSync(home, { recursive: true, force: true });
      }
    },
  };
}

async function onServer<T>(url: string, work: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}
