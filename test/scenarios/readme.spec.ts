import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { NestFactory } from '@nestjs/core';
import { beforeAll, expect, it, onTestFinished } from 'vitest';
import { afterFile } from '../support/after-file.js';
import { WorkerModule } from '../../apps/worker/src/worker.module.js';
import { startApi, type TestApi } from '../support/api.js';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

let api: TestApi;
beforeAll(async () => {
  api = await startApi();
  const worker = await NestFactory.createApplicationContext(WorkerModule, { logger: ['fatal'] });
  afterFile(() => worker.close());
});

/** The only block of the README that is to be pasted into a shell. */
function lines(): string {
  const blocks = [
    ...readFileSync(join(ROOT, 'README.md'), 'utf8').matchAll(/^```bash\n([^]*?)^```/gm),
  ];
  expect(blocks).toHaveLength(1);
  return blocks[0]?.[1] ?? '';
}

/** A folder like a clone in which `npm start` runs. */
function aClone(): string {
  const folder = mkdtempSync(join(tmpdir(), 'tollgate-readme-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  mkdirSync(join(folder, '.tollgate'));
  const secrets = { operatorToken: api.ownerToken, gatewayToken: api.gatewayToken };
  writeFileSync(join(folder, '.tollgate', 'secrets.json'), JSON.stringify(secrets));
  symlinkSync(join(ROOT, 'examples'), join(folder, 'examples'));
  return folder;
}

/** Runs a script as it stands; what it printed, and the exit code. */
async function bash(script: string) {
  const child = spawn('bash', ['-euo', 'pipefail', '-c', script], {
    cwd: aClone(),
    env: { PATH: process.env['PATH'], TOLLGATE_URL: api.url },
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: 60_000,
  });
  let output = '';
  let errors = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (output += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (errors += text));
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve));
  return { code, output, errors };
}

it('the lines of the README lead from an API key to an invoice over $8.00', async () => {
  const { code, output, errors } = await bash(lines());
  expect(errors).toBe('');
  expect(code).toBe(0);
  // curl ends its output without a line break: answers follow each other.
  const answers = JSON.parse(`[${output.replaceAll('}{', '},{')}]`) as object[];
  expect(answers).toMatchObject([
    { name: 'prod' },
    { keyId: expect.any(String) },
    {
      allowed: true,
      resourcePath: '/pets/{petId}',
      quota: { limit: 10_000_000, remaining: 9_999_999 },
    },
    { records: 1, duplicate: false },
    { now: expect.stringContaining('-01T00:00:00.000Z') },
    {
      status: 'finalised',
      number: 'TG-000001',
      recipient: { name: 'Acme Pets Ltd.' },
      // $3.50 a million calls, $0.09 a GiB.
      total: { minor: String(350 + 50 * 9), currency: 'USD' },
    },
  ]);
});
