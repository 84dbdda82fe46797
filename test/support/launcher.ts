import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { onTestFinished } from 'vitest';

const START = fileURLToPath(new URL('../../scripts/start.cjs', import.meta.url));

/** What a launcher printed and how it ended. */
export interface Ended {
  readonly code: number | null;
  readonly output: string;
}

/** A folder for the data of one launcher, which is gone after the test. */
export function aHome(): string {
  const home = mkdtempSync(join(tmpdir(), 'tollgate-start-'));
  onTestFinished(() => rmSync(home, { recursive: true, force: true }));
  return home;
}

/** Empty is as good as missing, and hides what the developer has in the environment or in `.env`. */
const NOTHING_SET = Object.fromEntries(
  [
    'DATABASE_URL',
    'REDIS_URL',
    'HOST',
    'TOLLGATE_SECRET',
    'TOLLGATE_OPERATOR_TOKEN',
    'TOLLGATE_GATEWAY_TOKEN',
    'TOLLGATE_ACCESS_KEY_ID',
    'TOLLGATE_SECRET_ACCESS_KEY',
    'TOLLGATE_DEMO',
  ].map((name) => [name, '']),
);

/** A real `npm start` in a home of its own. Whatever it started is killed after the test. */
export function launch(environment: Record<string, string>, args: readonly string[] = []) {
  const child = spawn(process.execPath, [START, ...args], {
    env: { ...process.env, ...NOTHING_SET, ...environment },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  const more = new EventTarget();
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (chunk: string) => {
      output += chunk;
      more.dispatchEvent(new Event('output'));
    });
  }
  const ended = once(child, 'close').then(([code]): Ended => ({ code, output }));
  void ended.then(() => more.dispatchEvent(new Event('output')));
  onTestFinished(async () => {
    if (child.exitCode === null && child.signalCode === null) child.kill('SIGINT');
    await ended;
  });
  return {
    child,
    ended,
    /** Resolves when the output holds the text; fails when the launcher ends without it. */
    async prints(text: string): Promise<string> {
      while (!output.includes(text)) {
        if (child.exitCode !== null || child.signalCode !== null) {
          throw new Error(`The launcher ended without "${text}":\n${output}`);
        }
        await once(more, 'output');
      }
      return output;
    },
  };
}

/** The processes, by number, that have the text in their command line. */
export function processesWith(text: string): number[] {
  const { stdout } = spawnSync('ps', ['-eo', 'pid=,args='], { encoding: 'utf8' });
  return stdout
    .split('\n')
    .filter((line) => line.includes(text) && !line.includes('<defunct>'))
    .map((line) => Number.parseInt(line, 10));
}

/** The number of the PostgreSQL process of a home, which keeps its data in it or names where. */
export function postmasterOf(home: string): number {
  const { elsewhere } = JSON.parse(readFileSync(join(home, 'postgres.json'), 'utf8')) as {
    elsewhere?: string;
  };
  const file = join(elsewhere ?? home, 'postgres', 'postmaster.pid');
  return Number.parseInt(readFileSync(file, 'utf8'), 10);
}
