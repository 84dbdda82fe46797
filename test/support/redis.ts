import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { afterFile } from './after-file.js';
import { findCommand } from './services.js';

const START_MS_MAX = 10_000;

/** A `redis-server` of a test's own, in memory only, which can be killed, paused and started again on its port. */
export class RedisServer {
  readonly port: number;
  private child: ChildProcess | null = null;
  private readonly folder = mkdtempSync(join(tmpdir(), 'tollgate-redis-'));
  /** For the test itself; it connects again when the server is back. */
  readonly client: Redis;

  private constructor(
    port: number,
    private readonly settings: readonly string[],
  ) {
    this.port = port;
    this.client = new Redis({
      port,
      host: '127.0.0.1',
      lazyConnect: true,
      retryStrategy: () => 50,
      maxRetriesPerRequest: null,
    });
    this.client.on('error', () => undefined);
  }

  /** `settings` as on the command line: `['--maxmemory', '3mb']`. */
  static async start(settings: readonly string[] = []): Promise<RedisServer> {
    const server = new RedisServer(await portWithBus(), settings);
    await server.start();
    return server;
  }

  get url(): string {
    return `redis://127.0.0.1:${this.port}`;
  }

  async start(): Promise<void> {
    const config = join(this.folder, 'redis.conf');
    const own = ['--port', `${this.port}`, '--bind', '127.0.0.1', '--dir', this.folder];
    const memoryOnly = ['--save', '', '--appendonly', 'no', '--enable-debug-command', 'local'];
    writeFileSync(config, '');
    this.child = spawn(
      findCommand('redis-server') ?? 'redis-server',
      [config, ...own, ...memoryOnly, ...this.settings],
      { stdio: 'ignore' },
    );
    const { child } = this;
    afterFile(() => child.kill('SIGKILL'));
    await until(`Redis on ${this.port} to start`, async () => {
      const isUp = await this.ask('ping').then(
        (answer) => answer === 'PONG',
        () => false,
      );
      return isUp;
    });
  }

  /** One command on a connection of its own; rejects at once when no server is there. */
  async ask(...[command, ...args]: [string, ...string[]]): Promise<unknown> {
    const client = new Redis({
      port: this.port,
      host: '127.0.0.1',
      lazyConnect: true,
      retryStrategy: () => null,
      connectTimeout: 500,
    });
    client.on('error', () => undefined);
    try {
      await client.connect();
      return await client.call(command, ...args);
    } finally {
      client.disconnect();
    }
  }

  /** `kill -9`: what it held is gone. */
  async kill(): Promise<void> {
    const { child } = this;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const exited = once(child, 'exit');
    child.kill('SIGKILL');
    await exited;
  }

  /** It hears, and says nothing. */
  pause(): void {
    this.child?.kill('SIGSTOP');
  }

  resume(): void {
    this.child?.kill('SIGCONT');
  }

  /** How often a command ran, by `INFO commandstats`. */
  async calls(command: string): Promise<number> {
    const info = await this.client.info('commandstats');
    return Number(new RegExp(`cmdstat_${command}:calls=(\\d+)`).exec(info)?.[1] ?? 0);
  }

  async stop(): Promise<void> {
    this.client.disconnect();
    await this.kill();
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** Three primaries with a replica each, as `redis-cli --cluster create` makes them. */
export class RedisCluster {
  private constructor(readonly servers: readonly RedisServer[]) {}

  static async start(): Promise<RedisCluster> {
    const settings = ['--cluster-enabled', 'yes', '--cluster-node-timeout', '1000'];
    const servers = await Promise.all(
      Array.from({ length: 6 }, () =>
        RedisServer.start([...settings, '--cluster-replica-validity-factor', '0']),
      ),
    );
    const addresses = servers.map(({ port }) => `127.0.0.1:${port}`);
    const options = ['--cluster-replicas', '1', '--cluster-yes'];
    const cli = spawn('redis-cli', ['--cluster', 'create', ...addresses, ...options], {
      stdio: 'ignore',
    });
    const [code] = (await once(cli, 'exit')) as [number];
    if (code !== 0) throw new Error(`redis-cli --cluster create ended with ${code}.`);
    const cluster = new RedisCluster(servers);
    await until('the Cluster to be ready', async () => {
      const roles = await Promise.all(servers.map(roleOf));
      const states = await Promise.all(servers.map(({ client }) => client.cluster('INFO')));
      return (
        roles.filter((role) => role === 'slave').length === 3 &&
        states.every((state) => state.includes('cluster_state:ok'))
      );
    });
    return cluster;
  }

  get url(): string {
    return this.servers.map(({ url }) => url).join(',');
  }

  /** The servers that are primaries now. */
  async primaries(): Promise<RedisServer[]> {
    const roles = await Promise.all(this.servers.map(roleOf));
    return this.servers.filter((_, index) => roles[index] === 'master');
  }

  async stop(): Promise<void> {
    await Promise.all(this.servers.map((server) => server.stop()));
  }
}

/** A primary, a replica, and three Sentinels that make the replica the primary within about a second. */
export class RedisWithSentinels {
  private constructor(
    readonly primary: RedisServer,
    readonly replica: RedisServer,
    private readonly sentinels: readonly RedisServer[],
  ) {}

  static async start(): Promise<RedisWithSentinels> {
    const primary = await RedisServer.start();
    const replica = await RedisServer.start(['--replicaof', `127.0.0.1 ${primary.port}`]);
    const watch = async () => {
      const sentinel = await RedisServer.start(['--sentinel']);
      const name = 'mymaster';
      await sentinel.client.call('sentinel', 'monitor', name, '127.0.0.1', primary.port, 2);
      await sentinel.client.call('sentinel', 'set', name, 'down-after-milliseconds', 500);
      await sentinel.client.call('sentinel', 'set', name, 'failover-timeout', 3_000);
      return sentinel;
    };
    const sentinels = await Promise.all([watch(), watch(), watch()]);
    await until('the Sentinels to know each other and the replica', async () => {
      const known = await Promise.all(
        sentinels.map(({ client }) => client.call('sentinel', 'master', 'mymaster')),
      );
      return known.every((text) => {
        const facts = (text as unknown[]).map(String);
        const fact = (name: string) => facts[facts.indexOf(name) + 1];
        return fact('num-other-sentinels') === '2' && fact('num-slaves') === '1';
      });
    });
    return new RedisWithSentinels(primary, replica, sentinels);
  }

  get url(): string {
    return this.sentinels
      .map(({ port }) => `redis-sentinel://127.0.0.1:${port}/mymaster`)
      .join(',');
  }

  async stop(): Promise<void> {
    const all = [...this.sentinels, this.replica, this.primary];
    await Promise.all(all.map((server) => server.stop()));
  }
}

/** Undefined where no server answers. */
async function roleOf(server: RedisServer): Promise<string | undefined> {
  const info = await server.ask('info', 'replication').catch(() => '');
  return /role:(\w+)/.exec(String(info))?.[1];
}

/** A free port whose cluster bus, 10,000 above, is free too; below those that the system gives to anyone. */
async function portWithBus(): Promise<number> {
  for (;;) {
    const port = 11_000 + Math.floor(Math.random() * 11_000);
    if ((await isFree(port)) && (await isFree(port + 10_000))) return port;
  }
}

async function isFree(port: number): Promise<boolean> {
  const server = createServer().listen(port, '127.0.0.1');
  const listens = await once(server, 'listening').then(
    () => true,
    () => false,
  );
  await new Promise((resolve) => server.close(resolve));
  return listens;
}

async function until(what: string, holds: () => Promise<boolean>): Promise<void> {
  for (const late = Date.now() + START_MS_MAX; !(await holds()); await sleep(20)) {
    if (Date.now() > late) throw new Error(`Waited in vain for ${what}.`);
  }
}
