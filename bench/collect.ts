/**
 * How many lines a second `tollgate collect` takes from a log: read, understood, summed, kept on disk and acknowledged, as
 * a ratio against reading the same file line by line with `JSON.parse` and nothing else. Rounds are interleaved, each in a
 * process of its own; figures are medians. The service is one that acknowledges at once.
 *
 * Run: npx tsx bench/collect.ts        (LINES, ROUNDS and GZIP=on change what is measured)
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { build } from 'esbuild';
import { AccessLogWriter } from '../test/support/access-log.js';

const LINES = Number(process.env['LINES'] ?? 300_000);
const ROUNDS = Number(process.env['ROUNDS'] ?? 5);
const IS_COMPRESSED = process.env['GZIP'] === 'on';
const KEYS = 500;
/** 200 calls a second, so that a batch sums many lines. */
const STEP_MS = 5;

/** Parses each line and does nothing with it. */
const BARE = `
  import { createReadStream } from 'node:fs';
  import { createInterface } from 'node:readline';
  const input = createReadStream(process.argv[1]);
  for await (const line of createInterface({ input, crlfDelay: Infinity })) JSON.parse(line);
`;

const median = (values: readonly number[]): number =>
  values.toSorted((one, other) => one - other)[Math.floor(values.length / 2)] ?? Number.NaN;

/** Seconds from the start of a process to its end. */
async function timed(start: () => ReturnType<typeof spawn>): Promise<number> {
  const from = performance.now();
  const child = start();
  const [code] = (await once(child, 'exit')) as [number];
  if (code !== 0) throw new Error(`exit code ${code}`);
  return (performance.now() - from) / 1_000;
}

async function main(): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'tollgate-bench-collect-'));
  const server = createServer((request, response) => {
    request.resume().on('end', () => {
      response.writeHead(201, { 'content-type': 'application/json' });
      response.end('{"records":1,"duplicate":false}');
    });
  });
  try {
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    const root = fileURLToPath(new URL('..', import.meta.url));
    const program = join(folder, 'tollgate.mjs');
    await build({
      entryPoints: [join(root, 'apps/cli/src/main.ts')],
      outfile: program,
      bundle: true,
      platform: 'node',
      format: 'esm',
      tsconfig: join(root, 'tsconfig.json'),
    });
    const log = new AccessLogWriter(join(folder, 'access.log'), {
      stepMs: STEP_MS,
      keyIds: Array.from({ length: KEYS }, (_, index) => `key${index}`),
    });
    for (let left = LINES; left > 0; left -= 10_000) log.append(Math.min(left, 10_000));
    const content = readFileSync(log.path);
    const collected = IS_COMPRESSED ? `${log.path}.1.gz` : log.path;
    if (IS_COMPRESSED) writeFileSync(collected, gzipSync(content));
    const environment = {
      PATH: process.env['PATH'],
      TOLLGATE_URL: `http://127.0.0.1:${port}`,
      TOLLGATE_GATEWAY_TOKEN: 'bench',
    };
    const collectOnce = () => {
      const state = join(folder, 'state');
      rmSync(state, { force: true });
      const args = [program, 'collect', collected, '--once', '--state', state];
      return spawn(process.execPath, args, { env: environment, stdio: 'ignore' });
    };
    const readBare = () =>
      spawn(process.execPath, ['--input-type=module', '-e', BARE, log.path], { stdio: 'inherit' });
    const seconds = { bare: [] as number[], collect: [] as number[] };
    for (let round = 0; round < ROUNDS; round += 1) {
      seconds.bare.push(await timed(readBare));
      seconds.collect.push(await timed(collectOnce));
    }
    const rate = (values: readonly number[]): number => Math.round(LINES / median(values));
    const bytes = (content.length / LINES).toFixed(0);
    console.log(`${LINES} lines of ${bytes} bytes, ${ROUNDS} rounds, starts of processes included`);
    console.log(`bare JSON.parse    ${rate(seconds.bare)} lines/s`);
    console.log(`tollgate collect   ${rate(seconds.collect)} lines/s`);
    console.log(
      `ratio              ${(median(seconds.bare) / median(seconds.collect)).toFixed(2)}`,
    );
  } finally {
    server.close();
    rmSync(folder, { recursive: true, force: true });
  }
}

await main();
