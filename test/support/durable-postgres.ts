import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { startPostgres } from '../../scripts/embedded-postgres.mjs';
import { applyMigrations } from '../../scripts/migrate.mjs';
import { postmasterOf } from './launcher.js';

const RESTART_MS_MAX = 15_000;

/** A PostgreSQL of a test's own that writes to the disk before it says so, as in production, and can be killed. */
export class DurablePostgres {
  private paused: readonly number[] = [];

  private constructor(
    private readonly home: string,
    private running: Awaited<ReturnType<typeof startPostgres>>,
  ) {}

  static async start(): Promise<DurablePostgres> {
    const home = mkdtempSync(join(tmpdir(), 'tollgate-durable-'));
    const started = new DurablePostgres(home, await startPostgres({ home }));
    await applyMigrations({ connectionString: started.url });
    return started;
  }

  get url(): string {
    return this.running.connectionString();
  }

  /** Stops the server and its backends where they are: connections stay open, and nothing moves on them. */
  pause(): void {
    const postmaster = postmasterOf(this.home);
    process.kill(postmaster, 'SIGSTOP');
    const { stdout } = spawnSync('ps', ['-A', '-o', 'pid=,ppid='], { encoding: 'utf8' });
    const all = stdout.split('\n').map((line) => line.trim().split(/\s+/).map(Number));
    const backends = all.filter(([, parent]) => parent === postmaster).map(([pid = 0]) => pid);
    for (const pid of backends) process.kill(pid, 'SIGSTOP');
    this.paused = [...backends, postmaster];
  }

  /** Lets it go on. Does nothing when it is not paused. */
  resume(): void {
    for (const pid of this.paused) process.kill(pid, 'SIGCONT');
    this.paused = [];
  }

  /** `kill -9` of the server; its backends notice by themselves. */
  async kill(): Promise<void> {
    process.kill(postmasterOf(this.home), 'SIGKILL');
    await this.running.exited;
    await this.running.stop();
  }

  /** On the same port, after recovery. A backend of the killed server may hold its memory for a moment yet. */
  async restart(): Promise<void> {
    const { port } = this.running;
    for (const until = Date.now() + RESTART_MS_MAX; ; await sleep(50)) {
      try {
        this.running = await startPostgres({ home: this.home, port });
        return;
      } catch (error) {
        if (Date.now() > until) throw error;
      }
    }
  }

  async stop(): Promise<void> {
    await this.running.stop();
    rmSync(this.home, { recursive: true, force: true });
  }
}
