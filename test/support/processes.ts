import { fork, spawnSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { afterFile } from './after-file.js';
import { build, entryOf, isBuilt } from '../../scripts/build.mjs';
import { caller, type TestApi } from './api.js';
import { createTestDatabase } from './database.js';
import { freePort } from '../../scripts/free-port.mjs';

/** The tokens that a new api starts with. */
export const OWNER_TOKEN = `tgo_${'o'.repeat(40)}`;
export const GATEWAY_TOKEN = `tgw_${'g'.repeat(40)}`;

const OUTPUT_MAX = 20_000;

/** A built app as a process of its own, which can be killed and started again on the same port. */
export class AppProcess {
  private child: ChildProcess | null = null;
  private output = '';

  private constructor(
    private readonly app: 'api' | 'worker',
    private readonly environment: Readonly<Record<string, string>>,
  ) {}

  /** Builds what is not built, and resolves when the app is ready. Its account is in test mode. */
  static async start(
    app: 'api' | 'worker',
    databaseUrl: string,
    settings: Readonly<Record<string, string>> = {},
  ): Promise<AppProcess> {
    if (!isBuilt()) await build();
    const started = new AppProcess(app, {
      PATH: process.env['PATH'] ?? '',
      DATABASE_URL: databaseUrl,
      PORT: String(await freePort()),
      TOLLGATE_SECRET: 'k1:MDEyMzQ1Njc4OWFiY2RlZmdoaWprbG1ub3BxcnN0dXY=',
      TOLLGATE_OPERATOR_TOKEN: OWNER_TOKEN,
      TOLLGATE_GATEWAY_TOKEN: GATEWAY_TOKEN,
      TOLLGATE_DEMO: 'on',
      TOLLGATE_LOG_LEVEL: 'error',
      ...settings,
    });
    await started.start();
    return started;
  }

  /** So many apis, which share a database and this Redis; the test file stops them. */
  static async startMany(count: number, redisUrl: string): Promise<AppProcess[]> {
    const databaseUrl = await createTestDatabase();
    if (!isBuilt()) await build();
    // The first one makes the first account.
    const first = await AppProcess.start('api', databaseUrl, { REDIS_URL: redisUrl });
    const others = await Promise.all(
      Array.from({ length: count - 1 }, () =>
        AppProcess.start('api', databaseUrl, { REDIS_URL: redisUrl }),
      ),
    );
    const all = [first, ...others];
    afterFile(() => Promise.all(all.map((api) => api.stop())));
    return all;
  }

  get url(): string {
    return `http://127.0.0.1:${this.environment['PORT']}`;
  }

  /** As the harness of an api in this process, so that the same factories serve both. */
  get http(): Pick<TestApi, 'call' | 'ownerToken'> {
    return { ownerToken: OWNER_TOKEN, call: caller(this.url, OWNER_TOKEN) };
  }

  /** Whether it runs: an app may only end when it is told to. */
  get isAlive(): boolean {
    const { child } = this;
    return child !== null && child.exitCode === null && child.signalCode === null;
  }

  /** The bytes of memory that it occupies now (its resident set). */
  memory(): number {
    const pid = String(this.child?.pid);
    return 1024 * Number(spawnSync('ps', ['-o', 'rss=', '-p', pid], { encoding: 'utf8' }).stdout);
  }

  /** What it printed, for the message of a test that failed. */
  get said(): string {
    return this.output;
  }

  /** Runs another program of the app with its settings to the end. */
  async run(program: string, args: readonly string[]): Promise<{ code: number; output: string }> {
    const child = fork(join(entryOf(this.app), '..', program), args, {
      env: this.environment,
      execArgv: [],
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    });
    let output = '';
    for (const stream of [child.stdout, child.stderr])
      stream?.setEncoding('utf8').on('data', (text: string) => (output += text));
    const [code] = (await once(child, 'close')) as [number];
    return { code, output };
  }

  async start(): Promise<void> {
    const child = fork(entryOf(this.app), {
      env: this.environment,
      execArgv: [],
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    });
    this.child = child;
    for (const stream of [child.stdout, child.stderr]) {
      stream?.setEncoding('utf8').on('data', (text: string) => {
        this.output = (this.output + text).slice(-OUTPUT_MAX);
      });
    }
    const isReady = await Promise.race([
      once(child, 'message').then(() => true),
      once(child, 'exit').then(() => false),
    ]);
    if (!isReady) throw new Error(`The ${this.app} did not start:\n${this.output}`);
  }

  /** `kill -9`: it has no moment left for anything. */
  async kill(): Promise<void> {
    await this.end('SIGKILL');
  }

  /** Ctrl-C or a deployment: it ends in order. */
  async stop(): Promise<void> {
    await this.end('SIGTERM');
  }

  private async end(signal: NodeJS.Signals): Promise<void> {
    const { child } = this;
    if (!child || !this.isAlive) return;
    const exited = once(child, 'exit');
    child.kill(signal);
    await exited;
  }
}
