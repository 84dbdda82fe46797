import { spawn, spawnSync } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { freePort } from '../../scripts/free-port.mjs';
import { findCommand } from './services.js';

/** The variables of `gateways/nginx/tollgate.conf.template` that a run must choose. */
export interface NginxOptions {
  /** `host:port` of the service. */
  readonly tollgateAddress: string;
  readonly gatewayToken: string;
  readonly apiId: string;
  readonly stage: string;
  /** `host:port` of the application behind. */
  readonly applicationAddress: string;
  /** What happens when the service does not answer. Default deny. */
  readonly onFailure?: 'allow' | 'deny';
  /** How long a call waits for its decision. Default 200ms. */
  readonly deadline?: string;
  /** The port to listen on. Default a free one. */
  readonly port?: number;
  /** Default a file in a folder of its own, deleted by `stop()`. */
  readonly accessLog?: string;
}

/** An nginx that runs the shipped configuration. */
export interface RunningNginx {
  readonly port: number;
  readonly url: string;
  readonly accessLog: string;
  /** What nginx complained of, `[warn]` and above. */
  errors(): Promise<string>;
  /** Opens its logs anew, as after a rotation by renaming. */
  reopenLogs(): void;
  stop(): Promise<void>;
}

const TEMPLATE = fileURLToPath(
  new URL('../../gateways/nginx/tollgate.conf.template', import.meta.url),
);

/** Fills the template as `envsubst` would. Throws when a variable is left. */
export async function renderNginxConfig(
  options: NginxOptions & { port: number; accessLog: string },
) {
  const variables: Record<string, string> = {
    TOLLGATE_ADDRESS: options.tollgateAddress,
    TOLLGATE_GATEWAY_TOKEN: options.gatewayToken,
    TOLLGATE_API_ID: options.apiId,
    TOLLGATE_STAGE: options.stage,
    TOLLGATE_PROTOCOL: 'REST',
    TOLLGATE_DEADLINE: options.deadline ?? '200ms',
    TOLLGATE_UNAVAILABLE: options.onFailure === 'allow' ? '204' : '403',
    APPLICATION_ADDRESS: options.applicationAddress,
    LISTEN: `127.0.0.1:${options.port}`,
    ACCESS_LOG: options.accessLog,
  };
  const template = await readFile(TEMPLATE, 'utf8');
  return template.replaceAll(/\$\{([A-Z_]+)\}/g, (placeholder, name: string) => {
    const value = variables[name];
    if (value === undefined) throw new Error(`no value for ${placeholder}`);
    return value;
  });
}

/** Starts nginx on the shipped configuration and waits until it listens. */
export async function startNginx(options: NginxOptions): Promise<RunningNginx> {
  const folder = await mkdtemp(join(tmpdir(), 'tollgate-nginx-'));
  const port = options.port ?? (await freePort());
  const accessLog = options.accessLog ?? join(folder, 'access.log');
  const config = join(folder, 'nginx.conf');
  const errorLog = join(folder, 'error.log');
  await writeFile(
    join(folder, 'tollgate.conf'),
    await renderNginxConfig({ ...options, port, accessLog }),
    { mode: 0o600 },
  );
  await writeFile(config, mainConfig(folder, errorLog));
  const program = findCommand('nginx') ?? 'nginx';
  const tested = spawnSync(program, ['-t', '-p', folder, '-c', config, '-e', errorLog]);
  if (tested.status !== 0) throw new Error(`nginx -t: ${String(tested.stderr)}`);
  const nginx = spawn(program, ['-p', folder, '-c', config, '-e', errorLog], { stdio: 'ignore' });
  const exited = new Promise<void>((resolve) => nginx.once('exit', () => resolve()));
  const url = `http://127.0.0.1:${port}`;
  const stop = async (): Promise<void> => {
    nginx.kill('SIGQUIT');
    const killer = setTimeout(() => nginx.kill('SIGKILL'), 5_000);
    await exited;
    clearTimeout(killer);
    await rm(folder, { recursive: true, force: true });
  };
  try {
    await listening(port);
  } catch (error) {
    await stop();
    throw error;
  }
  const reopenLogs = (): void => void nginx.kill('SIGUSR1');
  return { port, url, accessLog, errors: () => readFile(errorLog, 'utf8'), reopenLogs, stop };
}

function mainConfig(folder: string, errorLog: string): string {
  const paths = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'];
  // A worker of another user could not keep a large body in a folder of ours.
  const user = process.getuid?.() === 0 ? 'user root;\n' : '';
  return `daemon off;
${user}worker_processes 1;
pid ${folder}/nginx.pid;
error_log ${errorLog} warn;
events { worker_connections 1024; }
http {
  ${paths.map((name) => `${name}_temp_path ${folder}/${name};`).join('\n  ')}
  include ${folder}/tollgate.conf;
}
`;
}

async function listening(port: number): Promise<void> {
  const until = Date.now() + 5_000;
  for (;;) {
    if (await accepts(port)) return;
    if (Date.now() > until) throw new Error(`nginx does not listen on port ${port}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false));
    socket.once('connect', () => socket.destroy());
  });
}
