import { execFile } from 'node:child_process';
import {
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { beforeAll, describe, expect, it } from 'vitest';
import { afterFile } from '../support/after-file.js';
import { StandInService } from '../support/stand-in-service.js';

const run = promisify(execFile);
const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const PACKAGE = join(ROOT, 'libs', 'gateway-plugin');

/** Uses the package as its README says, and prints what its clients were answered. */
const PROGRAM = `
import { createServer } from 'node:http';
import { createTollgate } from '@tollgate/gateway-plugin';
import { TollgateGuard } from '@tollgate/gateway-plugin/nest';
const [url, token] = process.argv.slice(2);
const tollgate = createTollgate({ url, token, apiId: 'petstore01', stage: 'prod', onEvent: () => undefined });
const server = createServer(tollgate.node((request, response) => response.end('pets')));
await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
const statuses = [];
for (const headers of [{ 'x-api-key': 'tg_package' }, {}]) {
  const response = await fetch('http://127.0.0.1:' + server.address().port + '/pets', { headers });
  statuses.push(response.status + ' ' + (await response.text()));
}
server.close();
server.closeAllConnections();
await tollgate.close();
console.log(JSON.stringify({ statuses, guard: typeof new TollgateGuard(tollgate).canActivate }));
`;

const TYPED_PROGRAM = `
import { createServer, type IncomingMessage } from 'node:http';
import { createTollgate, type Decision, type Tollgate, type TollgateOptions } from '@tollgate/gateway-plugin';
import { TollgateGuard } from '@tollgate/gateway-plugin/nest';
const options: TollgateOptions = { url: 'http://127.0.0.1:1', token: 't', apiId: 'a', stage: 's' };
const tollgate: Tollgate = createTollgate(options);
createServer(tollgate.node((request: IncomingMessage, response) => {
  const decision: Decision | undefined = tollgate.decisionOf(request);
  response.end(decision?.keyId ?? 'nobody');
}));
export const guard: { canActivate(context: never): boolean | Promise<boolean> } = new TollgateGuard(tollgate);
// @ts-expect-error a stage is needed
createTollgate({ url: 'http://127.0.0.1:1', token: 't', apiId: 'a' });
`;

describe('the npm package of the plugin', () => {
  let project: string;

  beforeAll(async () => {
    project = mkdtempSync(join(tmpdir(), 'tollgate-plugin-'));
    // Where npm runs no scripts, packing does not build.
    await run(process.execPath, ['build.mjs'], { cwd: PACKAGE });
    await run('npm', ['pack', '--pack-destination', project], { cwd: PACKAGE });
    const [tarball] = readdirSync(project);
    writeFileSync(join(project, 'package.json'), '{"name":"empty","private":true,"type":"module"}');
    const install = ['install', '--offline', '--no-audit', '--no-fund', `./${tarball}`];
    await run('npm', install, { cwd: project });
  });
  afterFile(() => rmSync(project, { recursive: true, force: true }));

  const installed = (...path: string[]) =>
    join(project, 'node_modules', '@tollgate', 'gateway-plugin', ...path);

  it('stands alone: no dependency, nothing of ours that was not packed, and it is small', () => {
    expect(
      readdirSync(join(project, 'node_modules')).filter((name) => !name.startsWith('.')),
    ).toEqual(['@tollgate']);
    const { dependencies, peerDependencies } = JSON.parse(
      readFileSync(installed('package.json'), 'utf8'),
    );
    expect({ dependencies, peerDependencies }).toEqual({});
    const files = readdirSync(installed('dist'), { recursive: true, encoding: 'utf8' });
    const texts = files
      .filter((file) => statSync(installed('dist', file)).isFile())
      .map((file) => readFileSync(installed('dist', file), 'utf8'));
    expect(texts.join('\n')).not.toMatch(/@core|@io|temporal-polyfill|decimal\.js/);
    expect(texts.join('').length).toBeLessThan(250_000);
  });

  it('serves from plain JavaScript', async () => {
    const service = await StandInService.start({
      keys: {
        tg_package: {
          keyId: 'keypack001',
          customerId: 'cus_a',
          plan: { rateLimit: 10, burstLimit: 10 },
        },
      },
    });
    writeFileSync(join(project, 'main.js'), PROGRAM);
    const { stdout } = await run(process.execPath, ['main.js', service.url, service.token], {
      cwd: project,
    });
    expect(JSON.parse(stdout)).toEqual({
      statuses: ['200 pets', '403 {"message":"Forbidden"}'],
      guard: 'function',
    });
    expect(service.committed('calls')).toEqual({ all: 1 });
    await service.stop();
  });

  it('has types that need nothing else but those of Node', async () => {
    symlinkSync(join(ROOT, 'node_modules', '@types'), join(project, 'node_modules', '@types'));
    symlinkSync(
      join(ROOT, 'node_modules', 'undici-types'),
      join(project, 'node_modules', 'undici-types'),
    );
    writeFileSync(join(project, 'typed.ts'), TYPED_PROGRAM);
    const tsc = join(ROOT, 'node_modules', 'typescript', 'bin', 'tsc');
    const flags = [
      '--noEmit',
      '--strict',
      '--exactOptionalPropertyTypes',
      '--module',
      'nodenext',
      '--target',
      'es2023',
      '--lib',
      'es2023',
      '--types',
      'node',
    ];
    await expect(
      run(process.execPath, [tsc, ...flags, 'typed.ts'], { cwd: project }).catch(
        (error: { stdout: string }) => Promise.reject(new Error(error.stdout)),
      ),
    ).resolves.toMatchObject({ stdout: '' });
  });
});
