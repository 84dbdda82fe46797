import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { afterFile } from './after-file.js';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/** One run of `tollgate collect` as a process of its own. */
export interface CollectorRun {
  readonly child: ChildProcess;
  /** How it ended and what it said: `0 …`, `SIGKILL …`. */
  readonly exited: Promise<string>;
}

/** Bundles the command line into one file, so that a start costs little; deleted after the test file. */
export async function collectorProgram(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'tollgate-cli-'));
  afterFile(() => rm(folder, { recursive: true, force: true }));
  const program = join(folder, 'tollgate.mjs');
  await build({
    entryPoints: [join(ROOT, 'apps/cli/src/main.ts')],
    outfile: program,
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node20',
    tsconfig: join(ROOT, 'tsconfig.json'),
    logLevel: 'error',
  });
  return program;
}

/** Starts it on a log, for a service. */
export function startCollector(
  program: string,
  {
    log,
    service,
    options = [],
  }: {
    log: string;
    service: { readonly url: string; readonly token: string };
    options?: readonly string[];
  },
): CollectorRun {
  const child = spawn(process.execPath, [program, 'collect', log, '--interval', '10', ...options], {
    env: {
      PATH: process.env['PATH'] ?? '',
      TOLLGATE_URL: service.url,
      TOLLGATE_GATEWAY_TOKEN: service.token,
    },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let said = '';
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    said = (said + text).slice(-20_000);
  });
  const exited = new Promise<string>((resolve) => {
    child.once('close', (code, signal) => resolve(`${code ?? signal} ${said}`));
  });
  return { child, exited };
}
