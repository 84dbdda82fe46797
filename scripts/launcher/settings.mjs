// @ts-check
/** What the launcher itself reads from the environment, and whether what it names can be used. */
import { existsSync } from 'node:fs';
import { createServer } from 'node:net';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { errorCode, errorMessage } from '../files.mjs';
import { ROOT } from '../root.mjs';
import { Refusal } from './report.mjs';

/**
 * @typedef {object} Settings
 * @property {string} home
 * @property {number} port
 * @property {string} host
 * @property {string} url where a browser on this machine finds the api
 * @property {string | undefined} databaseUrl
 * @property {string | undefined} redisUrl
 * @property {boolean} [isThrowAway] whether nobody needs the data after this run
 */

const CONNECT_TIMEOUT_MS = 5000;

/**
 * Reads `.env` beside package.json, whose values give way to those of the environment, and what this file needs of both.
 * The processes check every setting themselves; these are the ones that are needed before anything is installed.
 *
 * @returns {Settings}
 */
export function readSettings() {
  const file = join(ROOT, '.env');
  if (existsSync(file)) process.loadEnvFile(file);
  const env = process.env;
  const port = env['PORT']?.trim() || '3000';
  if (!/^\d{1,5}$/.test(port) || Number(port) < 1 || Number(port) > 65_535) {
    throw new Refusal(`PORT is "${port}": set it to a whole number from 1 to 65535.`);
  }
  const host = env['HOST']?.trim() || '127.0.0.1';
  const databaseUrl = env['DATABASE_URL']?.trim() || undefined;
  if (databaseUrl && !env['TOLLGATE_SECRET'] && !env['TOLLGATE_SECRET_FILE']) {
    throw new Refusal(
      'DATABASE_URL is set and TOLLGATE_SECRET is not: set it to the output of "openssl rand -base64 32", keep it, and give every process of this database the same.',
    );
  }
  const reachable = ['0.0.0.0', '::'].includes(host) ? '127.0.0.1' : host;
  return {
    home: resolve(ROOT, env['TOLLGATE_HOME']?.trim() || '.tollgate'),
    port: Number(port),
    host,
    url: `http://${reachable.includes(':') ? `[${reachable}]` : reachable}:${port}`,
    databaseUrl,
    redisUrl: env['REDIS_URL']?.trim() || undefined,
  };
}

/**
 * Refuses an address that nothing can listen on.
 *
 * @param {Settings} settings
 */
export async function checkPort({ port, host }) {
  const probe = createServer();
  try {
    await new Promise((done, fail) => {
      probe.once('error', fail);
      probe.listen({ port, host, exclusive: true }, () => done(undefined));
    });
    await new Promise((done) => probe.close(done));
  } catch (error) {
    const why = {
      EADDRINUSE: `Port ${port} of ${host} is taken: stop the program that has it, or choose another, for example PORT=${port === 65_535 ? 3000 : port + 1} npm start.`,
      EACCES: `Port ${port} may not be used by this user: choose one above 1023, for example PORT=3000 npm start.`,
      EADDRNOTAVAIL: `HOST=${host} is no address of this machine: use 127.0.0.1, or 0.0.0.0 for every address.`,
      ENOTFOUND: `HOST=${host} cannot be resolved: use 127.0.0.1, or 0.0.0.0 for every address.`,
    }[errorCode(error) ?? ''];
    if (!why) throw error;
    throw new Refusal(why, { cause: error });
  }
}

/**
 * Has the processes' own class read the environment they will get, so that a fault is told before anything starts.
 *
 * @param {string} app of which the build is used
 * @param {Record<string, string | undefined>} env
 */
export async function checkEnvironment(app, env) {
  const path = join(ROOT, 'dist', app, 'libs', 'platform', 'src', 'io', 'config', 'config.js');
  await import(pathToFileURL(join(ROOT, 'node_modules', 'reflect-metadata', 'Reflect.js')).href);
  const { Config, InvalidSettings } = await import(pathToFileURL(path).href);
  try {
    void new Config(env);
  } catch (error) {
    if (error instanceof InvalidSettings) throw new Refusal(errorMessage(error), { cause: error });
    throw error;
  }
}

/**
 * Refuses a server that cannot be used, without showing the password of its address.
 *
 * @param {string} url
 */
export async function checkDatabase(url) {
  const { default: pg } = await import('pg');
  const { hostname, port, pathname, username } = parseUrl('DATABASE_URL', url, [
    'postgresql:',
    'postgres:',
  ]);
  const server = `${hostname || 'localhost'}:${port || 5432}`;
  const database = decodeURIComponent(pathname.slice(1)) || 'postgres';
  const client = new pg.Client({
    connectionString: url,
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
  });
  try {
    await client.connect();
    await client.end();
  } catch (error) {
    const code = errorCode(error) ?? '';
    const role = decodeURIComponent(username);
    const why = {
      ECONNREFUSED: `no PostgreSQL listens there; start it or correct DATABASE_URL`,
      ENOTFOUND: `the host is not known; correct DATABASE_URL`,
      EAI_AGAIN: `the host cannot be looked up now; correct DATABASE_URL or try again`,
      '28P01': `it refuses the password of "${role}"; correct DATABASE_URL`,
      28000: `it does not let "${role}" in; correct DATABASE_URL or pg_hba.conf`,
      '3D000': `it has no database "${database}"; create it or correct DATABASE_URL`,
    }[code];
    throw new Refusal(
      `The database ${database} on ${server} cannot be used: ${why ?? `${errorMessage(error) || code}; correct DATABASE_URL`}. Without DATABASE_URL, Tollgate brings its own PostgreSQL.`,
      { cause: error },
    );
  }
}

/** @param {string} url several nodes of a Cluster or Sentinels are separated by commas; one of them has to answer */
export async function checkRedis(url) {
  const faults = await Promise.all(url.split(',').map((node) => redisFault(node.trim())));
  const [first] = faults;
  if (first && faults.every((fault) => fault !== null)) throw first;
}

/** @param {string} node */
async function redisFault(node) {
  const { Redis } = await import('ioredis');
  const protocols = ['redis:', 'rediss:', 'redis-sentinel:', 'rediss-sentinel:'];
  const { hostname, port, protocol, username, password } = parseUrl('REDIS_URL', node, protocols);
  const isSentinel = protocol.includes('-sentinel');
  const portOrDefault = Number(port || (isSentinel ? 26_379 : 6379));
  const client = new Redis({
    host: hostname.replace(/^\[|\]$/g, ''),
    port: portOrDefault,
    username: decodeURIComponent(username),
    password: decodeURIComponent(password),
    ...(protocol.startsWith('rediss') ? { tls: {} } : {}),
    lazyConnect: true,
    connectTimeout: CONNECT_TIMEOUT_MS,
    maxRetriesPerRequest: 0,
    retryStrategy: () => null,
  });
  /** @type {unknown} */
  let lastError;
  client.on('error', (error) => (lastError = error));
  try {
    await client.connect();
    await client.ping();
    return null;
  } catch (error) {
    const why = errorMessage(lastError ?? error) || errorCode(lastError) || 'no answer';
    return new Refusal(
      `The Redis on ${hostname}:${portOrDefault} cannot be used (${why}): start it, correct REDIS_URL, or leave REDIS_URL out to run without Redis.`,
      { cause: error },
    );
  } finally {
    client.disconnect();
  }
}

/**
 * @param {string} name
 * @param {string} url
 * @param {string[]} protocols
 */
function parseUrl(name, url, protocols) {
  if (URL.canParse(url) && protocols.includes(new URL(url).protocol)) return new URL(url);
  throw new Refusal(`${name} must be a URL that starts with ${protocols[0]}//.`);
}
