import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { applyMigrations, diffToSchema } from '../../scripts/migrate.mjs';
import { createEmptyDatabase, createTestDatabase } from '../support/database.js';

let migrationsDir: string;
beforeEach(() => {
  migrationsDir = mkdtempSync(join(tmpdir(), 'tollgate-migrations-'));
});
afterEach(() => rmSync(migrationsDir, { recursive: true, force: true }));

function write(name: string, sql: string): void {
  mkdirSync(join(migrationsDir, name), { recursive: true });
  writeFileSync(join(migrationsDir, name, 'migration.sql'), sql);
}

async function query(connectionString: string, sql: string): Promise<Record<string, unknown>[]> {
  const client = new pg.Client({ connectionString });
  await client.connect();
  try {
    return (await client.query(sql)).rows as Record<string, unknown>[];
  } finally {
    await client.end();
  }
}

/** What Prisma's own schema cannot say, with semicolons where a careless reader cuts. */
const BEYOND_PRISMA = `
  -- a comment; with a semicolon
  CREATE TABLE usage (id bigint, at timestamptz NOT NULL, note text DEFAULT 'a;b') PARTITION BY RANGE (at);
  CREATE TABLE usage_2026 PARTITION OF usage FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
  CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
  BEGIN
    RAISE EXCEPTION 'a row never changes; not even this one';
  END;
  $$;
  CREATE TRIGGER frozen BEFORE UPDATE ON usage FOR EACH ROW EXECUTE FUNCTION refuse();`;

describe('applyMigrations', () => {
  it('applies partitions, triggers, functions, and what must run outside a transaction', async () => {
    write('1_usage', BEYOND_PRISMA);
    write('2_index', 'CREATE INDEX CONCURRENTLY usage_id ON usage_2026 (id);');
    const connectionString = await createEmptyDatabase();
    expect(await applyMigrations({ connectionString, migrationsDir })).toEqual([
      '1_usage',
      '2_index',
    ]);

    const [row] = await query(
      connectionString,
      `INSERT INTO usage (id, at) VALUES (1, '2026-06-01') RETURNING note`,
    );
    expect(row).toEqual({ note: 'a;b' });
    await expect(query(connectionString, 'UPDATE usage SET id = 2')).rejects.toThrow(
      /never changes/,
    );
  });

  it('does nothing the second time', async () => {
    write('1_usage', BEYOND_PRISMA);
    const connectionString = await createEmptyDatabase();
    await applyMigrations({ connectionString, migrationsDir });
    expect(await applyMigrations({ connectionString, migrationsDir })).toEqual([]);
  });

  it('applies each migration once, however many start at the same time', async () => {
    write('1_usage', BEYOND_PRISMA);
    write('2_index', 'CREATE INDEX CONCURRENTLY usage_id ON usage_2026 (id);');
    const connectionString = await createEmptyDatabase();
    const applied = await Promise.all(
      Array.from({ length: 5 }, () => applyMigrations({ connectionString, migrationsDir })),
    );
    expect(applied.flat()).toEqual(['1_usage', '2_index']);
  });

  it('leaves nothing of a migration that fails, names it, and applies it when it is corrected', async () => {
    write('1_usage', BEYOND_PRISMA);
    write('2_bad', 'CREATE TABLE half (id int); CREATE TABLE other (id no_such_type);');
    const connectionString = await createEmptyDatabase();
    await expect(applyMigrations({ connectionString, migrationsDir })).rejects.toThrow(
      'The migration 2_bad failed and changed nothing: type "no_such_type" does not exist.',
    );
    expect(await query(connectionString, `SELECT to_regclass('half') AS half`)).toEqual([
      { half: null },
    ]);

    write('2_bad', 'CREATE TABLE half (id int);');
    expect(await applyMigrations({ connectionString, migrationsDir })).toEqual(['2_bad']);
  });

  it('notes a migration in the transaction that applies it, so that a kill in between is no harm', async () => {
    // The engine writes a note of its own in a second transaction; the trigger kills the connection there.
    write('1_usage', BEYOND_PRISMA);
    const connectionString = await createEmptyDatabase();
    await applyMigrations({ connectionString, migrationsDir });
    write(
      '2_killed',
      `CREATE TABLE after (id int);
       CREATE FUNCTION die() RETURNS trigger LANGUAGE plpgsql AS $$
       BEGIN
         IF old.finished_at IS NOT NULL OR new.finished_at IS NULL THEN
           PERFORM pg_terminate_backend(pg_backend_pid());
         END IF;
         RETURN new;
       END; $$;
       CREATE TRIGGER die BEFORE UPDATE ON _prisma_migrations FOR EACH ROW EXECUTE FUNCTION die();`,
    );
    await expect(applyMigrations({ connectionString, migrationsDir })).rejects.toThrow();
    expect(await query(connectionString, `SELECT to_regclass('after')::text AS t`)).toEqual([
      { t: 'after' },
    ]);
    expect(await applyMigrations({ connectionString, migrationsDir })).toEqual([]);
  });

  it('refuses a database that is ahead, and a migration that was edited', async () => {
    write('1_usage', BEYOND_PRISMA);
    write('2_more', 'CREATE TABLE more (id int);');
    const connectionString = await createEmptyDatabase();
    await applyMigrations({ connectionString, migrationsDir });
    write('1_usage', `${BEYOND_PRISMA}\n-- edited`);
    await expect(applyMigrations({ connectionString, migrationsDir })).rejects.toThrow(
      /1_usage was edited/,
    );
    write('1_usage', BEYOND_PRISMA);
    rmSync(join(migrationsDir, '2_more'), { recursive: true });
    await expect(applyMigrations({ connectionString, migrationsDir })).rejects.toThrow(
      /ahead .* 2_more/,
    );
  });
});

describe('diffToSchema', () => {
  it('names no table and no column that the migrations forgot', async () => {
    const sql = await diffToSchema({ connectionString: await createTestDatabase() });
    expect(sql).not.toMatch(/CREATE TABLE|ADD COLUMN/);
  });
});
