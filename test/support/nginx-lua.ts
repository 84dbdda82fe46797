import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { describe } from 'vitest';
import { findCommand } from './services.js';
import { freePort } from '../../scripts/free-port.mjs';

const HOME = fileURLToPath(new URL('../../gateways/openresty/', import.meta.url));
/** Where Debian and nginx.org put modules. */
const MODULES = ['/usr/lib/nginx/modules', '/usr/share/nginx/modules'];

/** The folder of Lua that the plugins share. */
export const LUA_LIBRARY = join(HOME, 'lib');

/** The variables of `gateways/openresty/tollgate.conf.template` that a run must choose. */
export interface NginxLuaOptions {
  readonly serviceUrl: string;
  readonly gatewayToken: string;
  readonly apiId: string;
  readonly stage: string;
  /** `host:port` of the application behind. */
  readonly applicationAddress: string;
  readonly onFailure?: 'allow' | 'deny';
  readonly deadlineMs?: number;
  readonly protocol?: 'REST' | 'HTTP';
  readonly workers?: number;
}

/** An nginx with the Lua module. */
export interface RunningNginxLua {
  readonly port: number;
  readonly url: string;
  readonly pid: number;
  errors(): Promise<string>;
  /** Loads the same configuration again. */
  reload(): void;
  /** Ends gracefully, as service managers do. */
  stop(): Promise<void>;
  kill(signal: NodeJS.Signals): void;
}

/** Whether nginx and its Lua module are on this machine. */
export function hasNginxLua(): boolean {
  return findCommand('nginx') !== undefined && moduleFolder() !== undefined;
}

const moduleFolder = () =>
  MODULES.find((folder) => existsSync(join(folder, 'ngx_http_lua_module.so')));

/** Starts nginx on the shipped configuration and waits until it answers. */
export async function startNginxLua(options: NginxLuaOptions): Promise<RunningNginxLua> {
  const port = await freePort();
  const variables: Record<string, string> = {
    TOLLGATE_LUA: LUA_LIBRARY,
    TOLLGATE_CA: '/etc/ssl/certs/ca-certificates.crt',
    TOLLGATE_URL: options.serviceUrl,
    TOLLGATE_GATEWAY_TOKEN: options.gatewayToken,
    TOLLGATE_API_ID: options.apiId,
    TOLLGATE_STAGE: options.stage,
    TOLLGATE_PROTOCOL: options.protocol ?? 'REST',
    TOLLGATE_DEADLINE_MS: String(options.deadlineMs ?? 200),
    TOLLGATE_ON_FAILURE: options.onFailure ?? 'deny',
    APPLICATION_ADDRESS: options.applicationAddress,
    LISTEN: `127.0.0.1:${port}`,
  };
  const template = await readFile(join(HOME, 'tollgate.conf.template'), 'utf8');
  const http = template.replaceAll(/\$\{([A-Z_]+)\}/g, (placeholder, name: string) => {
    const value = variables[name];
    if (value === undefined) throw new Error(`no value for ${placeholder}`);
    return value;
  });
  return runNginxLua(http, port, options.workers ?? 1);
}

/** Starts nginx on what stands in `http { }`, listening on `port`. */
export async function runNginxLua(
  http: string,
  port: number,
  workers = 1,
): Promise<RunningNginxLua> {
  const folder = await mkdtemp(join(tmpdir(), 'tollgate-nginx-lua-'));
  // The workers of an nginx that root started are another user's.
  await chmod(folder, 0o755);
  const config = join(folder, 'nginx.conf');
  const errorLog = join(folder, 'error.log');
  const modules = moduleFolder() ?? '';
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'];
  await writeFile(
    config,
    `daemon off;
load_module ${modules}/ndk_http_module.so;
load_module ${modules}/ngx_http_lua_module.so;
worker_processes ${workers};
pid ${folder}/nginx.pid;
error_log ${errorLog} warn;
events { worker_connections 1024; }
http {
  access_log off;
  ${temporary.map((name) => `${name}_temp_path ${folder}/${name};`).join('\n  ')}
${http}
}
`,
    { mode: 0o600 },
  );
  const program = findCommand('nginx') ?? 'nginx';
  const nginx = spawn(program, ['-p', folder, '-c', config, '-e', errorLog], { stdio: 'ignore' });
  const exited = new Promise<void>((resolve) => nginx.once('exit', () => resolve()));
  const errors = () => readFile(errorLog, 'utf8');
  const url = `http://127.0.0.1:${port}`;
  const stop = async (): Promise<void> => {
    nginx.kill('SIGQUIT');
    const killer = setTimeout(() => nginx.kill('SIGKILL'), 15_000);
    await exited;
    clearTimeout(killer);
    await rm(folder, { recursive: true, force: true });
  };
  for (let tries = 0; ; tries += 1) {
    const answered = await fetch(url).then(
      () => true,
      () => false,
    );
    if (answered) break;
    if (nginx.exitCode !== null || tries > 250) {
      const text = await errors().catch(() => 'no log');
      if (nginx.exitCode === null) await stop();
      throw new Error(`nginx does not listen on port ${port}: ${text}`);
    }
    await sleep(20);
  }
  return {
    port,
    url,
    pid: nginx.pid ?? 0,
    errors,
    stop,
    reload: () => nginx.kill('SIGHUP'),
    kill: (signal) => nginx.kill(signal),
  };
}

/** `describe` for tests that need nginx and its Lua module; see `describeWith`. */
export function describeWithNginxLua(name: string, define: () => void): void {
  const title = hasNginxLua() ? name : `${name} (needs nginx and its Lua module)`;
  // oxlint-disable-next-line vitest/valid-title, vitest/valid-describe-callback -- both come from the caller
  describe.skipIf(!hasNginxLua() && process.env['CI'] !== 'true')(title, define);
}
