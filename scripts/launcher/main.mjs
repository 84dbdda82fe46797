// @ts-check
/** What `npm start` does. Only modules that need no installed package are imported before the packages are there. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { build, entryOf, isBuilt } from '../build.mjs';
import { errorMessage } from '../files.mjs';
import { generateClient } from '../generate.mjs';
import { ROOT } from '../root.mjs';
import { loadSecrets, lockHome, prepareHome } from './home.mjs';
import { ensureInstalled } from './install.mjs';
import { ManagedProcess, shown } from './processes.mjs';
import { Refusal, showFailure, step } from './report.mjs';
import {
  checkDatabase,
  checkEnvironment,
  checkPort,
  checkRedis,
  readSettings,
} from './settings.mjs';

/** @typedef {import('./settings.mjs').Settings} Settings */

const APPS = ['api', 'worker'];
/** npm passes Ctrl-C on to us beside the terminal, so a second signal at once is the same one. */
const SAME_SIGNAL_MS = 500;

/**
 * `npm start` without arguments; `api` and `worker` run that process alone; `demo` is `npm run demo`.
 *
 * @param {string[]} args
 */
export async function main([command = 'all', ...args]) {
  try {
    if (APPS.includes(command)) await runAlone(command);
    else if (command === 'demo') await runScript('demo.mjs', args);
    else if (command === 'all') await runAll();
    else
      throw new Refusal(
        `"${command}" is not one of: api, worker, demo; without one, everything starts.`,
      );
  } catch (error) {
    showFailure(error);
    process.exit(1);
  }
}

/** Installs, generates and builds what is missing or older than its sources. */
export async function prepareCode() {
  await ensureInstalled();
  if (isBuilt()) generateClient();
  else await step('Building', build);
}

/** @param {string} app */
async function runAlone(app) {
  const { databaseUrl } = readSettings();
  if (!databaseUrl) {
    throw new Refusal(
      `npm run start:${app} runs the ${app} alone and needs DATABASE_URL; npm start brings its own PostgreSQL and runs everything.`,
    );
  }
  await prepareCode();
  await checkEnvironment(app, process.env);
  // In this very process, so that whoever supervises it signals and watches the ${app} itself.
  await import(pathToFileURL(entryOf(app)).href);
}

/**
 * @param {string} name
 * @param {string[]} args
 */
async function runScript(name, args) {
  const script = join(ROOT, 'scripts', name);
  if (!existsSync(script)) throw new Refusal(`scripts/${name} is not part of this version.`);
  await prepareCode();
  const { run } = await import(pathToFileURL(script).href);
  await run(args);
}

async function runAll() {
  const startedAt = Date.now();
  const settings = readSettings();
  await supervise(async (undo) => {
    prepareHome(settings.home);
    undo.push(await lockHome(settings.home, settings.url));
    const { env, secretsFile, isFirst } = await bringUp(settings, undo);
    const demo = env['TOLLGATE_DEMO'] === 'on' ? await seedDemo(settings, env) : [];
    const seconds = ((Date.now() - startedAt) / 1000).toFixed(1);
    console.log(summary({ settings, env, secretsFile, isFirst, demo, seconds }));
  });
}

/**
 * What to do at the end, last first; `atOnce` leaves out what may be left out.
 *
 * @typedef {((options: { atOnce: boolean }) => unknown)[]} Undo
 */

/**
 * Does work that starts things and notes in `undo` how they are stopped, which happens on Ctrl-C and on a failure.
 *
 * @param {(undo: Undo) => Promise<void>} work
 * @returns {Promise<() => Promise<void>>} stops everything in order
 */
export async function supervise(work) {
  /** @type {Undo} */
  const undo = [];
  /** @type {Promise<void> | undefined} */
  let undone;
  const undoRest = async (/** @type {{ atOnce: boolean }} */ options) => {
    for (let step = undo.pop(); step; step = undo.pop()) await step(options);
  };
  const undoAll = (/** @type {{ atOnce: boolean }} */ options) => (undone ??= undoRest(options));
  stopOnSignal(undoAll);
  try {
    await work(undo);
  } catch (error) {
    // Whoever pressed Ctrl-C knows why.
    const wasAsked = stopping.signal.aborted;
    stopping.abort();
    if (!wasAsked) showFailure(error);
    await undoAll({ atOnce: true });
    process.exit(wasAsked ? 0 : 1);
  }
  return () => {
    stopping.abort();
    return undoAll({ atOnce: false });
  };
}

/**
 * Brings up an installation in a home that is prepared: database, tables, api and worker.
 *
 * @param {Settings} settings
 * @param {Undo} undo
 */
export async function bringUp(settings, undo) {
  await checkPort(settings);
  await prepareCode();
  const prepared = await prepareEnvironment(settings, undo);
  await startProcesses(settings, prepared.env, undo);
  return prepared;
}

/** Aborted as soon as this launcher stops what it started. */
const stopping = new AbortController();

/** @param {(options: { atOnce: boolean }) => Promise<void>} undoAll */
function stopOnSignal(undoAll) {
  let firstAt = 0;
  const onSignal = () => {
    if (stopping.signal.aborted) {
      if (Date.now() - firstAt < SAME_SIGNAL_MS) return;
      console.log('Stopping at once');
      for (const child of running) void child.stop({ atOnce: true });
      return;
    }
    stopping.abort();
    firstAt = Date.now();
    console.log('\nStopping … (Ctrl-C again to stop at once; nothing acknowledged is lost)');
    void undoAll({ atOnce: false }).then(
      () => process.exit(0),
      (error) => {
        showFailure(error);
        process.exit(1);
      },
    );
  };
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, onSignal);
}

/** @type {Set<ManagedProcess>} */
const running = new Set();

/**
 * The environment of the processes, with a database that is migrated.
 *
 * @param {Settings} settings
 * @param {Undo} undo
 */
async function prepareEnvironment(settings, undo) {
  const { applyMigrations } = await import('../migrate.mjs');
  /** @type {Record<string, string | undefined>} */
  let env = {
    NODE_ENV: 'production',
    ...process.env,
    PORT: String(settings.port),
    HOST: settings.host,
    TOLLGATE_HOME: settings.home,
  };
  let secretsFile;
  let isFirst = false;
  if (settings.redisUrl) await checkRedis(settings.redisUrl);
  if (settings.databaseUrl) {
    await checkEnvironment('api', env);
    await checkDatabase(settings.databaseUrl);
  } else {
    const stored = loadSecrets(settings.home);
    secretsFile = stored.path;
    isFirst = stored.isNew;
    env = { ...env, ...generatedSettings(stored.secrets, env) };
    await checkEnvironment('api', { ...env, DATABASE_URL: 'postgresql://127.0.0.1/tollgate' });
    env['DATABASE_URL'] = await startOwnDatabase(settings, undo);
  }
  const connectionString = env['DATABASE_URL'] ?? '';
  await step('Updating the tables', async (note) => {
    const applied = await applyMigrations({ connectionString });
    if (applied.length > 0) note(`Applied ${applied.join(', ')}`);
  });
  return { env, secretsFile, isFirst };
}

/**
 * What is generated stands in for what the environment does not set.
 *
 * @param {import('./home.mjs').Secrets} secrets
 * @param {Record<string, string | undefined>} env
 */
function generatedSettings(secrets, env) {
  const isSet = (/** @type {string} */ name) => Boolean(env[name] || env[`${name}_FILE`]);
  const hasAccessKey = isSet('TOLLGATE_ACCESS_KEY_ID') || isSet('TOLLGATE_SECRET_ACCESS_KEY');
  return {
    ...(!isSet('TOLLGATE_SECRET') && { TOLLGATE_SECRET: secrets.secret }),
    ...(!isSet('TOLLGATE_OPERATOR_TOKEN') && { TOLLGATE_OPERATOR_TOKEN: secrets.operatorToken }),
    ...(!isSet('TOLLGATE_GATEWAY_TOKEN') && { TOLLGATE_GATEWAY_TOKEN: secrets.gatewayToken }),
    ...(!hasAccessKey && {
      TOLLGATE_ACCESS_KEY_ID: secrets.accessKeyId,
      TOLLGATE_SECRET_ACCESS_KEY: secrets.secretAccessKey,
    }),
    ...(!isSet('TOLLGATE_DEMO') && { TOLLGATE_DEMO: 'on' }),
  };
}

/**
 * @param {Settings} settings
 * @param {Undo} undo
 */
async function startOwnDatabase({ home, isThrowAway = false }, undo) {
  const { startPostgres } = await import('../embedded-postgres.mjs');
  const start = (
    /** @type {number | undefined} */ port,
    /** @type {(text: string) => void} */ note,
  ) => startPostgres({ home, ...(port && { port }), isDurable: !isThrowAway, onProgress: note });
  let postgres = await step('Starting PostgreSQL', (note) => start(undefined, note));
  const watch = () =>
    void postgres.exited.then(async (/** @type {number | null} */ code) => {
      for (let pauseMs = 500; !stopping.signal.aborted; pauseMs = Math.min(pauseMs * 2, 30_000)) {
        console.log(
          `PostgreSQL ended (exit ${code}) and is started again; its log is ${shown(join(home, 'postgres.log'))}.`,
        );
        await new Promise((resolve) => setTimeout(resolve, pauseMs));
        if (stopping.signal.aborted) return;
        try {
          postgres = await start(postgres.port, console.log);
          watch();
          return;
        } catch (error) {
          console.log(errorMessage(error));
        }
      }
    });
  watch();
  undo.push(() => postgres.stop());
  return postgres.connectionString();
}

/**
 * @param {Settings} settings
 * @param {Record<string, string | undefined>} env
 * @param {Undo} undo
 */
async function startProcesses(settings, env, undo) {
  const logs = join(settings.home, 'logs');
  await step('Starting api and worker', async () => {
    const processes = APPS.map(
      (name) => new ManagedProcess({ name, entry: entryOf(name), env, logs, say: console.log }),
    );
    for (const child of processes) running.add(child);
    undo.push((options) => Promise.all(processes.map((child) => child.stop(options))));
    await Promise.all(processes.map((child) => child.start()));
    const { ok, status } = await fetch(`${settings.url}/health/ready`, {
      headers: { connection: 'close' },
    });
    if (!ok)
      throw new Refusal(
        `The api started but is not ready (${settings.url}/health/ready: ${status}).`,
      );
  });
}

/**
 * @param {Settings} settings
 * @param {Record<string, string | undefined>} env
 * @returns {Promise<string[]>} the lines that tell what can be tried
 */
async function seedDemo(settings, env) {
  const script = join(ROOT, 'scripts', 'seed-demo.mjs');
  if (!existsSync(script)) return [];
  const { seed } = await import(pathToFileURL(script).href);
  return step('Seeding the demo', () =>
    seed({
      url: settings.url,
      operatorToken: env['TOLLGATE_OPERATOR_TOKEN'],
      gatewayToken: env['TOLLGATE_GATEWAY_TOKEN'],
      home: settings.home,
    }),
  );
}

/**
 * @param {object} facts
 * @param {Settings} facts.settings
 * @param {Record<string, string | undefined>} facts.env
 * @param {string | undefined} facts.secretsFile
 * @param {boolean} facts.isFirst the only time that secrets are shown
 * @param {string[]} facts.demo
 * @param {string} facts.seconds
 */
function summary({ settings, env, secretsFile, isFirst, demo, seconds }) {
  const { version } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'));
  const { url, home } = settings;
  const where = secretsFile && shown(secretsFile);
  const token = isFirst
    ? env['TOLLGATE_OPERATOR_TOKEN']
    : secretsFile && `$(node -p 'require(${JSON.stringify(secretsFile)}).operatorToken')`;
  const credentials = isFirst
    ? [
        `  operator token   ${env['TOLLGATE_OPERATOR_TOKEN']}`,
        `  access key       ${env['TOLLGATE_ACCESS_KEY_ID']}  ${env['TOLLGATE_SECRET_ACCESS_KEY']}`,
        `  gateway token    ${env['TOLLGATE_GATEWAY_TOKEN']}`,
        `                   (shown once; they are in ${where})`,
      ]
    : [`  tokens and keys  ${where ? `in ${where}` : 'as set in the environment'}`];
  return [
    '',
    `Tollgate ${version} is ready after ${seconds} s.`,
    '',
    `  API              ${url}/v1`,
    `  documentation    ${url}/docs`,
    `  health           ${url}/health/ready`,
    ...credentials,
    `  logs             ${shown(join(home, 'logs'))}`,
    '',
    ...(demo.length > 0
      ? demo
      : [
          'Try:',
          `  curl ${url}/health/ready`,
          `  curl ${url}/openapi.json`,
          ...(token ? [`  curl -H "Authorization: Bearer ${token}" ${url}/v1/apis`] : []),
        ]),
    '',
    'Ctrl-C stops it; the data stays.',
  ].join('\n');
}
