// @ts-check
/**
 * Applies `prisma/migrations` to the database of `DATABASE_URL`; with `diff`, prints the SQL that leads from that database to
 * `prisma/schema`.
 *
 * It runs Prisma's own schema engine from its WebAssembly build, because the engine of `prisma migrate` is a program that
 * has to be downloaded.
 */
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import pg from 'pg';
import { errorCode, errorMessage } from './files.mjs';
import { ROOT } from './root.mjs';

const SCHEMA = join(ROOT, 'prisma', 'schema');
const MIGRATIONS = join(ROOT, 'prisma', 'migrations');
/** "tollgate" as far as a bigint carries it: any number that nobody else locks. */
const ONE_MIGRATOR = '8389754676633104128';
const FILTERS = { externalTables: [], externalEnums: [] };

/** A migration cannot be applied; its message says which and why. */
export class MigrationError extends Error {
  isRefusal = true;
}

/**
 * Brings the database up to date and returns the names of the migrations that this call applied, in order.
 *
 * Several processes may call it at once: one migrates, the others wait. Each migration is one transaction.
 *
 * @param {{ connectionString: string, migrationsDir?: string }} options
 * @returns {Promise<string[]>}
 */
export async function applyMigrations({ connectionString, migrationsDir = MIGRATIONS }) {
  const migrations = readMigrations(migrationsDir);
  if (migrations.length === 0) return [];
  return withLock(connectionString, async (client) => {
    const applied = await appliedMigrations(client);
    checkHistory(migrations, applied);
    const pending = migrations.filter(({ name }) => !applied.has(name));
    // Loading the engine costs more than asking, and most starts find nothing to do.
    if (pending.length > 0) {
      await forgetUnfinished(client);
      await withEngine(connectionString, pending, (engine) =>
        engine.applyMigrations({
          migrationsList: {
            baseDir: migrationsDir,
            lockfile: { path: 'migration_lock.toml', content: 'provider = "postgresql"\n' },
            shadowDbInitScript: '',
            migrationDirectories: migrations.map(({ name, sql }) => ({
              path: name,
              migrationFile: { path: 'migration.sql', content: { tag: 'ok', value: sql } },
            })),
          },
          filters: FILTERS,
        }),
      );
      await assertApplied(client, migrations);
    }
    return pending.map(({ name }) => name);
  });
}

/**
 * The SQL that leads from the database to `prisma/schema`. Partitions, triggers and functions are not in the schema and
 * not in the answer.
 *
 * @param {{ connectionString: string }} options
 * @returns {Promise<string>}
 */
export async function diffToSchema({ connectionString }) {
  const files = schemaFiles();
  const { stdout } = await withEngine(connectionString, [], (engine) =>
    engine.diff({
      from: { tag: 'schemaDatasource', files, configDir: ROOT },
      to: { tag: 'schemaDatamodel', files },
      script: true,
      exitCode: null,
      filters: FILTERS,
    }),
  );
  return stdout ?? '';
}

/** @typedef {{ name: string, sql: string, checksum: string }} Migration */

/**
 * @param {string} folder
 * @returns {Migration[]} in the order of their names
 */
function readMigrations(folder) {
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => {
      const sql = readFileSync(join(folder, name, 'migration.sql'), 'utf8');
      return { name, sql, checksum: createHash('sha256').update(sql).digest('hex') };
    })
    .sort((a, b) => (a.name < b.name ? -1 : 1));
}

function schemaFiles() {
  return readdirSync(SCHEMA, { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.prisma'))
    .sort()
    .map((path) => ({ path, content: readFileSync(join(SCHEMA, path), 'utf8') }));
}

/**
 * The engine itself says nothing about a migration that was edited after it had been applied, and never applies it again.
 *
 * @param {Migration[]} migrations
 * @param {Map<string, { checksum: string }>} applied
 */
function checkHistory(migrations, applied) {
  for (const { name, checksum } of migrations) {
    const row = applied.get(name);
    if (row && row.checksum !== checksum) {
      throw new MigrationError(
        `The migration ${name} was edited after it had been applied; restore it and write a new one.`,
      );
    }
  }
  const known = new Set(migrations.map(({ name }) => name));
  const unknown = [...applied.keys()].filter((name) => !known.has(name));
  if (unknown.length > 0) {
    throw new MigrationError(
      `The database is ahead of this version: it has ${unknown.join(', ')}. Start the version that wrote it.`,
    );
  }
}

/**
 * @param {pg.Client} client
 * @returns {Promise<Map<string, { checksum: string }>>} by name; what failed or was rolled back is not in it
 */
async function appliedMigrations(client) {
  const { rows } = await client.query(`SELECT to_regclass('_prisma_migrations') AS found`);
  if (rows[0].found === null) return new Map();
  const found = await client.query(
    `SELECT migration_name, checksum FROM _prisma_migrations
      WHERE finished_at IS NOT NULL AND rolled_back_at IS NULL`,
  );
  return new Map(found.rows.map((row) => [row.migration_name, { checksum: row.checksum }]));
}

/**
 * A failed migration blocks the engine until a person says what became of it. Here nothing did: a migration and the note that
 * it finished are one transaction.
 *
 * @param {pg.Client} client
 */
async function forgetUnfinished(client) {
  const { rows } = await client.query(`SELECT to_regclass('_prisma_migrations') AS found`);
  if (rows[0].found === null) return;
  await client.query(
    `UPDATE _prisma_migrations SET rolled_back_at = now()
      WHERE finished_at IS NULL AND rolled_back_at IS NULL`,
  );
}

/**
 * An engine that is set up wrongly reports success and does nothing, so its word is not taken for it.
 *
 * @param {pg.Client} client
 * @param {{ name: string }[]} migrations
 */
async function assertApplied(client, migrations) {
  const applied = await appliedMigrations(client);
  const missing = migrations.filter(({ name }) => !applied.has(name)).map(({ name }) => name);
  if (missing.length > 0) {
    throw new MigrationError(`These migrations were not applied: ${missing.join(', ')}.`);
  }
  const { rows } = await client.query(
    `SELECT count(*)::int AS tables FROM pg_tables
      WHERE schemaname = current_schema() AND tablename <> '_prisma_migrations'`,
  );
  if (rows[0].tables === 0) throw new MigrationError('The migrations created no table.');
}

/**
 * @template T
 * @param {string} connectionString
 * @param {(client: pg.Client) => Promise<T>} work
 * @returns {Promise<T>}
 */
async function withLock(connectionString, work) {
  const client = new pg.Client({ connectionString });
  await client.connect();
  try {
    // Asked again and again instead of waited for: a waiting statement holds a snapshot, and the migration that the
    // holder runs may be a CREATE INDEX CONCURRENTLY, which waits for all snapshots.
    const tryLock = () => client.query(`SELECT pg_try_advisory_lock(${ONE_MIGRATOR}) AS held`);
    while (!(await tryLock()).rows[0].held) await sleep(50);
    return await work(client);
  } finally {
    await client.end();
  }
}

/**
 * @template T
 * @param {string} connectionString
 * @param {Migration[]} pending
 * @param {(engine: import('@prisma/schema-engine-wasm').SchemaEngine) => Promise<T>} work
 * @returns {Promise<T>}
 */
async function withEngine(connectionString, pending, work) {
  const [
    { PrismaPg },
    { bindMigrationAwareSqlAdapterFactory, ColumnTypeEnum, DriverAdapterError },
    { SchemaEngine },
  ] = await Promise.all([
    import('@prisma/adapter-pg'),
    import('@prisma/driver-adapter-utils'),
    loadEngine(),
  ]);
  const factory = new PrismaPg({ connectionString, max: 1 });
  const connect = factory.connect.bind(factory);
  /** @type {MigrationError | undefined} */
  let failure;
  /** @type {pg.Pool[]} */
  const pools = [];
  factory.connect = async () => {
    const adapter = await connect();
    pools.push(adapter.underlyingDriver());
    readInternalChars(adapter, ColumnTypeEnum.Character);
    // The adapter's own method cuts the script at every semicolon, also inside function bodies, and commits piece by piece.
    adapter.executeScript = async (script) => {
      const migration = pending.find(({ sql }) => sql === script);
      try {
        await adapter.underlyingDriver().query(migration ? withFinish(migration) : script);
      } catch (error) {
        const [code, message] = [errorCode(error) ?? 'XX000', errorMessage(error)];
        failure = new MigrationError(
          `The migration ${migration?.name ?? 'table'} failed and changed nothing: ${message}.`,
          { cause: error },
        );
        // The engine understands only errors of this kind and panics at others.
        const unknown = { detail: undefined, column: undefined, hint: undefined };
        throw new DriverAdapterError({
          kind: 'postgres',
          severity: 'ERROR',
          code,
          message,
          ...unknown,
        });
      }
    };
    return adapter;
  };
  try {
    const engine = await SchemaEngine.new(
      { datamodels: schemaFiles().map(({ path, content }) => [path, content]) },
      () => {},
      bindMigrationAwareSqlAdapterFactory(factory),
    );
    try {
      return await work(engine);
    } finally {
      engine.free();
    }
  } catch (error) {
    throw failure ?? error;
  } finally {
    for (const pool of pools) await pool.end();
  }
}

/**
 * The script, and the note that it is done, as one message to the server and so one transaction: a kill at any moment leaves
 * both or neither. What cannot run in a transaction has to be alone in its file and has to bear a repetition.
 *
 * @param {Migration} migration
 */
function withFinish({ name, sql }) {
  if (/\bCONCURRENTLY\b/i.test(sql)) return sql;
  return `${sql}\n;UPDATE _prisma_migrations SET finished_at = now()
    WHERE migration_name = ${pg.escapeLiteral(name)} AND finished_at IS NULL AND rolled_back_at IS NULL`;
}

/** The type `"char"` of PostgreSQL's own catalogue, one byte, and a type of text. */
const INTERNAL_CHAR = 18;
const BLANK_PADDED_CHAR = 1042;

/**
 * The adapter refuses columns of the catalogue that the engine reads to compare schemas.
 *
 * @param {import('@prisma/driver-adapter-utils').SqlDriverAdapter & { underlyingDriver(): pg.Pool }} adapter
 * @param {import('@prisma/driver-adapter-utils').ColumnType} columnType
 */
function readInternalChars(adapter, columnType) {
  const pool = adapter.underlyingDriver();
  /** @type {(question: pg.QueryConfig) => Promise<{ fields?: pg.FieldDef[] }>} several statements have no fields */
  const query = pool.query.bind(pool);
  const queryRaw = adapter.queryRaw.bind(adapter);
  /** @type {number[]} in the last answer; the engine asks one question at a time */
  let chars = [];
  Object.assign(pool, {
    query: async (/** @type {pg.QueryConfig} */ question) => {
      const answer = await query(question);
      chars = [];
      answer.fields?.forEach((field, column) => {
        if (field.dataTypeID !== INTERNAL_CHAR) return;
        field.dataTypeID = BLANK_PADDED_CHAR;
        chars.push(column);
      });
      return answer;
    },
  });
  adapter.queryRaw = async (question) => {
    const answer = await queryRaw(question);
    for (const column of chars) answer.columnTypes[column] = columnType;
    return answer;
  };
}

/** @type {ReturnType<typeof instantiateEngine> | undefined} */
let loading;

/** Once per process: the bindings keep views into the memory of one instance. */
function loadEngine() {
  return (loading ??= instantiateEngine());
}

/** The package's own entry imports the `.wasm` file as a module, which Node 20 cannot. */
async function instantiateEngine() {
  // Where the engine leaves its last words; without it a panic hides behind a TypeError.
  Object.assign(globalThis, {
    PRISMA_WASM_PANIC_REGISTRY: {
      /** @param {string} message */
      set_message(message) {
        console.error(message);
      },
    },
  });
  const bindings = await import('@prisma/schema-engine-wasm/schema_engine_bg');
  const folder = dirname(createRequire(import.meta.url).resolve('@prisma/schema-engine-wasm'));
  const bytes = readFileSync(join(folder, 'schema_engine_bg.wasm'));
  // @ts-expect-error The types of Node 20 know the name and not the value.
  const { instance } = await WebAssembly.instantiate(bytes, {
    './schema_engine_bg.js': withoutWaiting(bindings),
  });
  bindings.__wbg_set_wasm(instance.exports);
  instance.exports.__wbindgen_start();
  return bindings;
}

/**
 * The engine never clears the timer by which it limits its waiting for a lock, and would keep the process for ten seconds.
 *
 * @param {Record<string, unknown>} bindings
 */
function withoutWaiting(bindings) {
  const imports = { ...bindings };
  for (const [name, binding] of Object.entries(bindings)) {
    if (!name.startsWith('__wbg_setTimeout') || typeof binding !== 'function') continue;
    imports[name] = (/** @type {unknown[]} */ ...args) => {
      const { setTimeout } = globalThis;
      Object.assign(globalThis, {
        setTimeout: (/** @type {Parameters<typeof setTimeout>} */ ...timer) =>
          setTimeout(...timer).unref(),
      });
      try {
        return binding(...args);
      } finally {
        globalThis.setTimeout = setTimeout;
      }
    };
  }
  return imports;
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const connectionString = process.env['DATABASE_URL'];
  try {
    if (!connectionString) throw new MigrationError('Set DATABASE_URL to the database to migrate.');
    if (process.argv[2] === 'diff') {
      console.log(await diffToSchema({ connectionString }));
    } else {
      const applied = await applyMigrations({ connectionString });
      for (const name of applied) console.log(`Applied ${name}.`);
      if (applied.length === 0) console.log('The database is up to date.');
    }
  } catch (error) {
    console.error(errorMessage(error));
    process.exitCode = 1;
  }
}
