import { setTimeout as sleep } from 'node:timers/promises';
import { Database } from '@io/platform';
import { AppProcess } from './processes.js';

/** When a worker dies at a call to another service: before that has done anything, after it has done it, or a moment later. */
export type Death = 'before' | 'after' | 'soon';

const DEATHS: readonly Death[] = ['before', 'after', 'soon'];
const SOON_MS = 40;

/** A built worker, a process of its own, that dies by `kill -9` while it calls other services, and is started again. */
export class MortalWorker {
  /** How often it died. */
  kills = 0;
  private callsLeft = Infinity;
  private armedFor = '';
  private dying: Promise<void> | null = null;

  private constructor(
    private readonly worker: AppProcess,
    private readonly db: Database,
    private readonly random: (bound: number) => number,
  ) {}

  static async start(
    { databaseUrl, db }: { readonly databaseUrl: string; readonly db: Database },
    settings: Readonly<Record<string, string>>,
    random: (bound: number) => number,
  ): Promise<MortalWorker> {
    const worker = await AppProcess.start('worker', databaseUrl, settings);
    return new MortalWorker(worker, db, random);
  }

  get isDying(): boolean {
    return this.dying !== null;
  }

  get isArmed(): boolean {
    return this.callsLeft < Infinity;
  }

  /** Dies at one of the next calls to a service. */
  arm(service: string, withinCalls: number): void {
    this.armedFor = service;
    this.callsLeft = 1 + this.random(withinCalls);
  }

  /** To be asked by the services at each call: how the worker dies at it; null when it lives on. */
  dies(service: string): Death | null {
    if (service !== this.armedFor) return null;
    this.callsLeft -= 1;
    if (this.callsLeft > 0) return null;
    this.callsLeft = Infinity;
    const death = DEATHS[this.random(DEATHS.length)] ?? 'before';
    this.dying = death === 'soon' ? this.killAfter(this.random(SOON_MS)) : this.kill();
    return death;
  }

  /** Lives on, unless it is dying already. */
  disarm(): void {
    this.callsLeft = Infinity;
  }

  async kill(): Promise<void> {
    if (!this.worker.isAlive) return;
    await this.worker.kill();
    this.kills += 1;
  }

  /** After its death: what it held runs out, as it does with time, and another takes over. */
  async revive(): Promise<void> {
    await this.dying;
    this.dying = null;
    await this.db.$executeRaw`
      UPDATE exchange SET next_attempt_at = now(), sending_until = now() WHERE status = 'sending'`;
    await this.db.$executeRaw`
      UPDATE marketplace_record SET next_attempt_at = now(), sending_until = NULL WHERE state = 'pending'`;
    await this.db.$executeRaw`
      UPDATE bullmq.job SET locked_until_ms = 0, stalled_marked = true WHERE state = 'active'`;
    await this.db.$executeRaw`DELETE FROM bullmq.meta WHERE field = 'stalled-check'`;
    await this.worker.start();
  }

  /** Lets these schedules be due, as they are every few seconds. */
  async hurry(jobs: readonly string[]): Promise<void> {
    await this.db.$executeRaw`
      UPDATE bullmq.job SET process_at_ms = 0 WHERE state = 'delayed' AND queue = ANY (${[...jobs]})`;
    await this.db.$queryRaw`
      SELECT pg_notify('bullmq_jobs', queue)::text FROM unnest(${[...jobs]}::text[]) AS jobs (queue)`;
  }

  async stop(): Promise<void> {
    await this.dying;
    await this.worker.stop();
  }

  /** What it printed, for the message of a test that failed. */
  get said(): string {
    return this.worker.said;
  }

  private async killAfter(ms: number): Promise<void> {
    await sleep(ms);
    await this.kill();
  }
}
