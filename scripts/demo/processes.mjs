// @ts-check
/** Programs beside Tollgate that the demo needs: nginx, and the collector of its log. */
import { spawn } from 'node:child_process';
import { accessSync, closeSync, constants, openSync, readFileSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { delimiter, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { entryOf } from '../build.mjs';
import { freePort } from '../free-port.mjs';
import { Refusal } from '../launcher/report.mjs';
import { ROOT } from '../root.mjs';

/** Debian keeps servers where an ordinary user's PATH does not look. */
const ALSO = ['/usr/sbin', '/usr/local/sbin'];
const LISTEN_SECONDS_MAX = 10;

/** The path of nginx; undefined where it is not installed. */
export function findNginx() {
  if (process.platform === 'win32') return undefined;
  const folders = [...(process.env['PATH'] ?? '').split(delimiter).filter(Boolean), ...ALSO];
  return folders.map((folder) => join(folder, 'nginx')).find(isExecutable);
}

/** @param {string} path */
function isExecutable(path) {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/**
 * Starts nginx with the shipped configuration, and `tollgate collect` on its log.
 *
 * @param {object} options
 * @param {string} options.program
 * @param {string} options.folder where both keep their files
 * @param {string} options.tollgateUrl
 * @param {string} options.token of this gateway
 * @param {string} options.apiId
 * @param {string} options.stage
 * @param {number} options.deadlineMs how long a call waits for its decision
 * @param {number} options.applicationPort
 */
export async function startNginx(options) {
  const { program, folder, tollgateUrl, token } = options;
  const port = await freePort();
  const accessLog = join(folder, 'nginx-access.log');
  const config = join(folder, 'nginx.conf');
  writeFileSync(accessLog, '');
  writeFileSync(join(folder, 'tollgate.conf'), render({ ...options, port, accessLog }), {
    mode: 0o600,
  });
  writeFileSync(config, mainConfig(folder));
  const errorLog = join(folder, 'nginx-error.log');
  const nginx = tether({
    command: [program, '-p', folder, '-c', config, '-e', errorLog],
    env: process.env,
    log: join(folder, 'nginx.log'),
    signal: 'QUIT',
  });
  const collect = (/** @type {string[]} */ ...how) =>
    tether({
      command: [process.execPath, entryOf('cli'), 'collect', accessLog].concat(
        ['--url', tollgateUrl],
        how,
      ),
      env: { ...process.env, TOLLGATE_GATEWAY_TOKEN: token },
      log: join(folder, 'collector.log'),
      signal: 'TERM',
    });
  const collector = collect('--interval', '300');
  const stop = async () => {
    await nginx.stop();
    await collector.stop();
    // A collector leaves what it has not sent in the log, for the next one.
    const code = await collect('--once').finished;
    if (code !== 0) {
      const said = readFileSync(join(folder, 'collector.log'), 'utf8').trim();
      throw new Refusal(`tollgate collect ended with ${code}; it said:\n${said}`);
    }
  };
  try {
    await listening(port);
  } catch (error) {
    await stop();
    throw new Refusal(`nginx does not start: ${readFileSync(errorLog, 'utf8').trim()}`, {
      cause: error,
    });
  }
  return { port, stop };
}

/**
 * A process that is told to end when `stop` is called or when this process is gone, however it went: a shell holds the
 * other end of a pipe.
 *
 * @param {object} options
 * @param {string[]} options.command
 * @param {NodeJS.ProcessEnv} options.env
 * @param {string} options.log
 * @param {string} options.signal asks it to finish what it has begun
 */
function tether({ command, env, log, signal }) {
  const output = openSync(log, 'a', 0o600);
  const script = `"$@" & child=$!; { read -r _; kill -${signal} $child; } <&3 & wait $child`;
  const shell = spawn('/bin/sh', ['-c', script, 'sh', ...command], {
    env,
    // A session of its own: Ctrl-C reaches us alone.
    detached: true,
    stdio: ['ignore', output, output, 'pipe'],
  });
  closeSync(output);
  const leash = /** @type {import('node:net').Socket} */ (shell.stdio[3]);
  leash.on('error', () => {
    // It is gone, which is what closing the pipe asks for.
  });
  /** Its exit code; null when a signal ended it. @type {Promise<number | null>} */
  const finished = new Promise((resolve) => {
    shell.once('exit', (code) => {
      leash.destroy();
      resolve(code);
    });
  });
  return {
    finished,
    stop: async () => {
      leash.end();
      await finished;
    },
  };
}

/**
 * Fills the template as `envsubst` does.
 *
 * @param {object} options
 * @param {string} options.tollgateUrl
 * @param {string} options.token
 * @param {string} options.apiId
 * @param {string} options.stage
 * @param {number} options.deadlineMs how long a call waits for its decision
 * @param {number} options.applicationPort
 * @param {number} options.port
 * @param {string} options.accessLog
 */
function render({
  tollgateUrl,
  token,
  apiId,
  stage,
  deadlineMs,
  applicationPort,
  port,
  accessLog,
}) {
  /** @type {Record<string, string>} */
  const variables = {
    TOLLGATE_ADDRESS: new URL(tollgateUrl).host,
    TOLLGATE_GATEWAY_TOKEN: token,
    TOLLGATE_API_ID: apiId,
    TOLLGATE_STAGE: stage,
    TOLLGATE_PROTOCOL: 'REST',
    TOLLGATE_DEADLINE: `${deadlineMs}ms`,
    TOLLGATE_UNAVAILABLE: '403',
    APPLICATION_ADDRESS: `127.0.0.1:${applicationPort}`,
    LISTEN: `127.0.0.1:${port}`,
    ACCESS_LOG: accessLog,
  };
  const template = join(ROOT, 'gateways', 'nginx', 'tollgate.conf.template');
  return readFileSync(template, 'utf8').replaceAll(
    /\$\{([A-Z_]+)\}/g,
    (_, name) => variables[name] ?? '',
  );
}

/** @param {string} folder */
function mainConfig(folder) {
  const paths = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'];
  return `daemon off;
worker_processes 1;
pid ${folder}/nginx.pid;
events { worker_connections 1024; }
http {
  ${paths.map((name) => `${name}_temp_path ${folder}/nginx-${name};`).join('\n  ')}
  include ${folder}/tollgate.conf;
}
`;
}

/** @param {number} port */
async function listening(port) {
  const deadline = Date.now() + LISTEN_SECONDS_MAX * 1_000;
  while (!(await accepts(port))) {
    if (Date.now() > deadline) throw new Error(`nothing listens on port ${port}`);
    await sleep(20);
  }
}

/**
 * @param {number} port
 * @returns {Promise<boolean>}
 */
function accepts(port) {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}
