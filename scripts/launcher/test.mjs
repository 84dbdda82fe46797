// @ts-check
/** What `npm test` does: everything that tests need, all of them, and one last line with the count. */
import { spawn } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join, relative } from 'node:path';
import { ROOT } from '../root.mjs';
import { prepareCode } from './main.mjs';
import { Refusal, showFailure } from './report.mjs';

const REPORT = join(ROOT, '.tmp', 'test-report.json');

/**
 * @param {string[]} args handed to Vitest: names of files, `--project unit`, `-t name`
 */
export async function main(args) {
  try {
    // Built as well: some tests run the real processes.
    await prepareCode();
    process.exitCode = await runTests(args);
  } catch (error) {
    showFailure(error);
    process.exitCode = 1;
  }
}

/** @param {string[]} args */
async function runTests(args) {
  rmSync(REPORT, { force: true });
  mkdirSync(join(ROOT, '.tmp'), { recursive: true });
  const vitest = join(ROOT, 'node_modules', 'vitest', 'vitest.mjs');
  const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${REPORT}`];
  const child = spawn(process.execPath, [vitest, 'run', ...reporters, ...args], {
    cwd: ROOT,
    stdio: 'inherit',
  });
  // Vitest gets Ctrl-C from the terminal as we do, and stops its database before it ends; a second signal would cut that off.
  process.on('SIGINT', () => {});
  process.on('SIGTERM', () => child.kill('SIGINT'));
  const code = await new Promise((resolve) => child.once('close', resolve));

  const counts = countResults(readReport());
  for (const line of counts.skipped) console.log(`skipped: ${line}`);
  const isStrict = process.env['CI'] === 'true';
  const failed = counts.failed + (isStrict ? counts.skipped.length : 0);
  if (isStrict && counts.skipped.length > 0) {
    console.log('A skipped test is a failure under CI=true: install what it needs.');
  }
  // Faults outside of tests (a file that does not load, an unhandled rejection) fail no test, and yet the run.
  const unaccounted = code !== 0 && failed === 0 ? 1 : 0;
  console.log(`${counts.passed} passed, ${failed + unaccounted} failed`);
  return code === 0 && failed === 0 ? 0 : 1;
}

/** @returns {unknown} */
function readReport() {
  try {
    return JSON.parse(readFileSync(REPORT, 'utf8'));
  } catch (error) {
    throw new Refusal('Vitest ended without a report: see above why.\n0 passed, 1 failed', {
      cause: error,
    });
  }
}

/**
 * @typedef {object} Report the part of Vitest's JSON report that is read
 * @property {{ name: string, status: string, message?: string,
 *   assertionResults: { fullName: string, status: string }[] }[]} testResults
 */

/**
 * Counts tests; a file that failed before its first test counts as one.
 *
 * @param {unknown} report
 */
export function countResults(report) {
  const { testResults } = /** @type {Report} */ (report);
  let passed = 0;
  let failed = 0;
  /** @type {string[]} */
  const skipped = [];
  for (const { name, status, assertionResults } of testResults) {
    const failedBefore = failed;
    for (const test of assertionResults) {
      if (test.status === 'passed') passed += 1;
      else if (test.status === 'failed') failed += 1;
      else skipped.push(`${relative(ROOT, name)}: ${test.fullName}`);
    }
    if (status === 'failed' && failed === failedBefore) failed += 1;
  }
  return { passed, failed, skipped };
}
