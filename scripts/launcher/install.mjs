// @ts-check
/** Installs the packages of `package-lock.json` when they are not there. Uses nothing that would have to be installed. */
import { spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { errorMessage } from '../files.mjs';
import { ROOT } from '../root.mjs';
import { Refusal, step } from './report.mjs';

/** @typedef {{ version?: string, integrity?: string, optional?: boolean, dev?: boolean, peer?: boolean }} LockedPackage */

/** Afterwards `node_modules` is what `package-lock.json` says. */
export async function ensureInstalled() {
  if (isInstalled(ROOT)) return;
  await step('Installing packages', runNpm);
  if (!isInstalled(ROOT)) {
    throw new Refusal(
      'npm reported success, but node_modules does not match package-lock.json: run "npm ci" and read what it says.',
    );
  }
}

/**
 * Compares what npm notes of an installation, at its very end, with the lock file: an interrupted or an older one differs.
 *
 * @param {string} folder
 */
export function isInstalled(folder) {
  const installed = lockedPackages(join(folder, 'node_modules', '.package-lock.json'));
  const wanted = lockedPackages(join(folder, 'package-lock.json'));
  if (!installed || !wanted) return false;
  for (const [path, { version, integrity, optional }] of Object.entries(wanted)) {
    if (path === '') continue;
    const found = installed[path];
    // An optional package is absent where it does not fit the platform.
    if (!found && optional) continue;
    if (found?.version !== version || found?.integrity !== integrity) return false;
  }
  return true;
}

/**
 * @param {string} path
 * @returns {Record<string, LockedPackage> | undefined}
 */
function lockedPackages(path) {
  if (!existsSync(path)) return undefined;
  try {
    return JSON.parse(readFileSync(path, 'utf8')).packages;
  } catch (error) {
    throw new Refusal(`${path} is not readable as JSON (${errorMessage(error)}): restore it.`, {
      cause: error,
    });
  }
}

/** @param {(text: string) => void} note */
async function runNpm(note) {
  // Under `npm start` the same npm is used again; otherwise the one of the PATH.
  const npm = process.env['npm_execpath'];
  const [program, ...first] = npm?.endsWith('.js') ? [process.execPath, npm] : ['npm'];
  const args = [...first, 'ci', '--no-fund', '--no-audit', '--loglevel=error'];
  note('Installing packages (once; some 400 MB on disk)');
  const child = spawn(program, args, {
    cwd: ROOT,
    stdio: ['ignore', 'pipe', 'pipe'],
    shell: process.platform === 'win32' && first.length === 0,
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (chunk) => (output += chunk));
  }
  const code = await new Promise((resolve) => {
    child.once('error', (error) => resolve(error.message));
    child.once('close', resolve);
  });
  if (code !== 0) {
    throw new Refusal(
      `${output}\nThe packages could not be installed (npm ci: ${code}): see above, check the network and the npm registry, and try again.`,
    );
  }
}
