// @ts-check
/** The folder of everything that Tollgate keeps on this machine, and the secrets in it. */
import { randomBytes, randomInt } from 'node:crypto';
import { chmodSync, existsSync, mkdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { createConnection, createServer } from 'node:net';
import { join } from 'node:path';
import { errorCode, errorMessage, writePrivateFile } from '../files.mjs';
import { Refusal } from './report.mjs';

/**
 * Creates the folder for its owner only; refuses one that others can read or that cannot be written.
 *
 * @param {string} home
 */
export function prepareHome(home) {
  try {
    if (!existsSync(home)) {
      mkdirSync(home, { recursive: true, mode: 0o700 });
      chmodSync(home, 0o700);
    }
    mkdirSync(join(home, 'logs'), { recursive: true, mode: 0o700 });
    writePrivateFile(join(home, 'logs', '.writable'), '');
    rmSync(join(home, 'logs', '.writable'));
  } catch (error) {
    throw new Refusal(
      `The folder ${home} cannot be written (${errorCode(error) ?? errorMessage(error)}): make it writable for this user, or name another with TOLLGATE_HOME.`,
      { cause: error },
    );
  }
  // The user of the embedded database may pass through (group, execute), and nobody may look inside.
  refuseLooseMode(home, 0o710, 'chmod 700');
}

/**
 * @param {string} path
 * @param {number} allowed
 * @param {string} remedy
 */
function refuseLooseMode(path, allowed, remedy) {
  if (process.platform === 'win32') return;
  const mode = statSync(path).mode & 0o777;
  if ((mode & ~allowed) !== 0) {
    throw new Refusal(
      `${path} holds secrets and is open to other users (mode ${mode.toString(8)}): run "${remedy} ${path}".`,
    );
  }
}

/**
 * @typedef {object} Secrets what the embedded default generates; values of the environment come before them
 * @property {string} secret the root secret, `id:base64` of 32 bytes
 * @property {string} operatorToken
 * @property {string} accessKeyId
 * @property {string} secretAccessKey
 * @property {string} gatewayToken
 */

const DIGITS = '0123456789';
const UPPER = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ';
const BASE62 = DIGITS + UPPER + UPPER.toLowerCase();
const BASE32 = `${UPPER}234567`;

/**
 * The secrets of this installation: made at the first start, the same ever after.
 *
 * @param {string} home
 * @returns {{ secrets: Secrets, path: string, isNew: boolean }}
 */
export function loadSecrets(home) {
  const path = join(home, 'secrets.json');
  if (existsSync(path)) {
    refuseLooseMode(path, 0o600, 'chmod 600');
    return { secrets: readSecrets(path), path, isNew: false };
  }
  const secrets = {
    secret: `${randomText(8, DIGITS + UPPER.toLowerCase())}:${randomBytes(32).toString('base64')}`,
    operatorToken: `tgo_${randomText(40, BASE62)}`,
    accessKeyId: `AKIA${randomText(16, BASE32)}`,
    secretAccessKey: randomText(40, BASE62),
    gatewayToken: `tgw_${randomText(40, BASE62)}`,
  };
  writePrivateFile(path, `${JSON.stringify(secrets, undefined, 2)}\n`);
  return { secrets, path, isNew: true };
}

/**
 * @param {string} path
 * @returns {Secrets}
 */
function readSecrets(path) {
  const names = ['secret', 'operatorToken', 'accessKeyId', 'secretAccessKey', 'gatewayToken'];
  /** @type {unknown} */
  let parsed;
  try {
    parsed = JSON.parse(readFileSync(path, 'utf8'));
  } catch (error) {
    throw new Refusal(
      `${path} cannot be read (${errorMessage(error)}): restore it from a backup, since data was sealed with it.`,
      { cause: error },
    );
  }
  const isWhole = (/** @type {any} */ value) =>
    names.every((name) => typeof value?.[name] === 'string' && value[name] !== '');
  if (!isWhole(parsed)) {
    throw new Refusal(
      `${path} lacks one of ${names.join(', ')}: restore it from a backup, since data was sealed with it.`,
    );
  }
  return /** @type {Secrets} */ (parsed);
}

/**
 * @param {number} length
 * @param {string} alphabet
 */
function randomText(length, alphabet) {
  return Array.from({ length }, () => alphabet[randomInt(alphabet.length)]).join('');
}

/**
 * Makes sure that one launcher runs per home, until it ends, however it ends. The holder listens on a port of this machine and
 * answers with its own nonce: unlike a process id, neither survives it nor is given to somebody else.
 *
 * @param {string} home
 * @param {string} url shown to the one who comes second
 * @returns {Promise<() => void>} gives the home free
 */
export async function lockHome(home, url) {
  const path = join(home, 'running.json');
  const holder = existsSync(path) ? parseHolder(readFileSync(path, 'utf8')) : undefined;
  if (holder && (await answers(holder))) {
    throw new Refusal(
      `Tollgate already runs from ${home} (process ${holder.pid}, ${holder.url}): stop it with Ctrl-C, or start a second one with another TOLLGATE_HOME and PORT.`,
    );
  }
  const nonce = randomBytes(16).toString('hex');
  const server = createServer((socket) => {
    socket.on('error', () => socket.destroy());
    socket.end(nonce);
  });
  await new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen({ port: 0, host: '127.0.0.1' }, () => resolve(undefined));
  });
  server.unref();
  const address = server.address();
  const port = typeof address === 'object' && address ? address.port : 0;
  writePrivateFile(path, JSON.stringify({ pid: process.pid, port, nonce, url }));
  return () => {
    server.close();
    rmSync(path, { force: true });
  };
}

/** @typedef {{ pid: number, port: number, nonce: string, url: string }} Holder */

/**
 * @param {string} text
 * @returns {Holder | undefined}
 */
function parseHolder(text) {
  try {
    return JSON.parse(text);
  } catch {
    // Cut off by whatever ended its writer; a running one would have finished it.
    return undefined;
  }
}

/**
 * @param {Holder} holder
 * @returns {Promise<boolean>}
 */
function answers({ port, nonce }) {
  return new Promise((resolve) => {
    const socket = createConnection({ port, host: '127.0.0.1', timeout: 1000 });
    let answer = '';
    socket.setEncoding('utf8');
    socket.on('data', (chunk) => (answer += chunk));
    socket.on('timeout', () => socket.destroy());
    socket.on('error', () => resolve(false));
    socket.on('close', () => resolve(answer === nonce));
  });
}
