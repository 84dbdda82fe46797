// @ts-check
/** Keeps the processes of Tollgate running: starts them, notices their end, starts them again, and stops them in order. */
import { spawn } from 'node:child_process';
import { closeSync, existsSync, openSync, readFileSync, renameSync } from 'node:fs';
import { join, relative } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Refusal } from './report.mjs';

/**
 * A young generation of 32 MB: most of what a request makes is gone before it is looked at once. And all begins there:
 * V8 takes what a process does first for what it always does, and after a few large batches would make everything old at
 * once, which costs twice as much for good. And an idle process is left alone: V8 would collect the shapes of objects of
 * which none lives at the moment, such as those of `process.nextTick`, and take the slow way to make them ever after.
 */
export const NODE_FLAGS = [
  '--enable-source-maps',
  '--max-semi-space-size=32',
  '--no-allocation-site-pretenuring',
  '--no-memory-reducer',
];
/** The tables of keys in pages of 2 MB, where Linux and glibc can: a decision reads them at random. Others ignore it. */
export const LARGE_PAGES = { GLIBC_TUNABLES: 'glibc.malloc.hugetlb=1' };

const LOGS_KEPT = 3;
/** One with other work took more than 60. The wait is told every ten seconds, and Ctrl-C ends it. */
const READY_SECONDS_MAX = 180;
/** Longer than what a process grants itself for its last requests and jobs. */
const STOP_SECONDS_MAX = 40;
const BACKOFF_MS = { first: 500, max: 30_000 };
/** A process that ran this long was well; its next end starts with the shortest pause again. */
const WELL_AFTER_MS = 60_000;

/**
 * @typedef {object} ProcessOptions
 * @property {string} name also of its log file
 * @property {string} entry the JavaScript file
 * @property {Record<string, string | undefined>} env
 * @property {string} logs the folder of the log files
 * @property {(line: string) => void} say
 */

/**
 * A Node process that is started again when it ends by itself. It ends when this process does: it holds the other end of a
 * channel to it.
 */
export class ManagedProcess {
  #options;
  /** @type {import('node:child_process').ChildProcess | undefined} */
  #child;
  #isStopping = false;
  #isReady = false;
  #pauseMs = BACKOFF_MS.first;

  /** @param {ProcessOptions} options */
  constructor(options) {
    this.#options = options;
  }

  /** Resolves when the process says that it is ready; refuses when it ends or stays silent instead. */
  async start() {
    const { name, logs } = this.#options;
    rotate(join(logs, `${name}.log`));
    const child = this.#spawn();
    const outcome = await Promise.race([
      new Promise((resolve) => child.once('message', () => resolve('ready'))),
      new Promise((resolve) => child.once('close', () => resolve('ended'))),
      sleep(READY_SECONDS_MAX * 1000, 'silent', { ref: false }),
    ]);
    if (outcome === 'ready') {
      this.#isReady = true;
      return;
    }
    this.#isStopping = true;
    child.kill('SIGKILL');
    const what = outcome === 'ended' ? 'ended while it started' : 'does not become ready';
    throw new Refusal(`The ${name} ${what}:\n${this.#reason()}\nIts log is ${this.#logFile()}.`);
  }

  /**
   * Asks the process to finish what it has begun, and resolves when it is gone.
   *
   * @param {{ atOnce?: boolean }} [options]
   */
  async stop({ atOnce = false } = {}) {
    this.#isStopping = true;
    const child = this.#child;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const gone = new Promise((resolve) => child.once('close', resolve));
    child.kill(atOnce ? 'SIGKILL' : 'SIGTERM');
    const timer = setTimeout(() => child.kill('SIGKILL'), STOP_SECONDS_MAX * 1000);
    await gone;
    clearTimeout(timer);
  }

  #spawn() {
    const { entry, env, name } = this.#options;
    const startedAt = Date.now();
    const log = openSync(this.#logFile(), 'a', 0o600);
    const child = spawn(process.execPath, [...NODE_FLAGS, entry], {
      env: { ...LARGE_PAGES, ...env },
      // A session of its own: Ctrl-C reaches the launcher alone, which then stops everything in order.
      detached: process.platform !== 'win32',
      stdio: ['ignore', log, log, 'ipc'],
      windowsHide: true,
    });
    closeSync(log);
    child.on('error', (error) => this.#options.say(`The ${name}: ${error.message}.`));
    child.once('close', (code, signal) => {
      if (this.#isStopping || !this.#isReady) return;
      if (Date.now() - startedAt > WELL_AFTER_MS) this.#pauseMs = BACKOFF_MS.first;
      const pauseMs = this.#pauseMs;
      this.#pauseMs = Math.min(pauseMs * 2, BACKOFF_MS.max);
      const reason = this.#reason().split('\n')[0];
      this.#options.say(
        `The ${name} ended (${signal ?? `exit ${code}`}) and is started again in ${pauseMs / 1000} s: ${reason}`,
      );
      setTimeout(() => {
        if (!this.#isStopping) this.#spawn();
      }, pauseMs);
    });
    this.#child = child;
    return child;
  }

  #logFile() {
    return join(this.#options.logs, `${this.#options.name}.log`);
  }

  #reason() {
    return lastWords(readFileSync(this.#logFile(), 'utf8'));
  }
}

/**
 * The log of this start gets the name; those of the last starts are kept as `.1`, `.2`, …
 *
 * @param {string} path
 */
export function rotate(path) {
  for (let age = LOGS_KEPT; age > 0; age--) {
    const older = `${path}.${age}`;
    const newer = age === 1 ? path : `${path}.${age - 1}`;
    if (existsSync(newer)) renameSync(newer, older);
  }
}

const LINES_SHOWN = 12;
const LEVEL_ERROR = 50;

/**
 * Why a process ended, from the end of its log: the last error among JSON lines, or else the last lines as they are.
 *
 * @param {string} log
 */
export function lastWords(log) {
  const lines = log.split('\n').filter((line) => line.trim() !== '');
  const recent = lines.slice(-LINES_SHOWN);
  const plain = recent.filter((line) => !line.startsWith('{'));
  if (plain.length > 0) return plain.join('\n');
  for (const line of recent.reverse()) {
    try {
      const { level, msg, err } = JSON.parse(line);
      if (level >= LEVEL_ERROR || level === 'error' || level === 'fatal') {
        return [msg, err?.message].filter(Boolean).join(': ');
      }
    } catch {
      // Cut off in the middle; an earlier line may say it.
    }
  }
  return 'it left no reason in its log';
}

/**
 * A path as one would type it here.
 *
 * @param {string} path
 */
export function shown(path) {
  const fromHere = relative(process.cwd(), path);
  return fromHere !== '' && !fromHere.startsWith('..') ? fromHere : path;
}
