import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { TollgateStats } from '@core/gateway-plugin';
import { expect } from 'vitest';
import { entryOf } from '../../scripts/build.mjs';
import { controlPlane } from './control-plane.js';
import { GATEWAY_TOKEN, type AppProcess } from './processes.js';

const RACER = fileURLToPath(new URL('plugin-racer.mjs', import.meta.url));

/** What a racer is told at its start; the rest are options of `createTollgate`. */
export interface RacerOptions {
  readonly url: string;
  readonly token: string;
  readonly apiId: string;
  readonly stage: string;
  readonly apiKey: string;
  readonly clients: number;
  /** How long a caller waits after a refusal. */
  readonly pauseMs: number;
  readonly deadlineMs?: number;
}

/** What a racer says of itself. */
export interface RacerReport {
  /** How often each answer came: `allowed`, or the reason of a refusal. */
  readonly outcomes: Readonly<Record<string, number>>;
  readonly stats: TollgateStats;
  readonly events: readonly string[];
}

/** A gateway with the plugin in a process of its own, see `plugin-racer.mjs`. */
export class PluginRacer {
  private readonly file: string;
  private readonly child: ChildProcess;
  private readonly listeners = new Set<Listener>();

  private constructor(options: RacerOptions) {
    this.file = join(mkdtempSync(join(tmpdir(), 'tollgate-racer-')), 'passed');
    // The apps are built with their libs beside them, and a racer with them.
    const plugin = join(entryOf('api'), '../../../../libs/gateway-plugin/src/index.js');
    this.child = fork(RACER, [plugin, JSON.stringify(options), this.file], { execArgv: [] });
    this.child.once('exit', (code) => {
      for (const { reject } of this.listeners) reject(new Error(`the racer ended with ${code}`));
    });
    this.child.on('message', (message) => {
      for (const listener of this.listeners) {
        if (!listener.isIt(message)) continue;
        this.listeners.delete(listener);
        listener.resolve(message);
      }
    });
  }

  static async start(options: RacerOptions): Promise<PluginRacer> {
    const racer = new PluginRacer(options);
    await racer.hears((message) => message === 'ready');
    return racer;
  }

  /** When each call passed so far, in milliseconds of a clock that all processes share. */
  passedAt(): number[] {
    if (!existsSync(this.file)) return [];
    return readFileSync(this.file, 'utf8').split('\n').slice(0, -1).map(Number);
  }

  /** Resolves with the instant at which the next answer of that kind came, after `forget`. */
  async first(outcome: string): Promise<number> {
    const message = await this.hears((said) => isFirst(said) && said.first === outcome);
    return isFirst(message) ? message.at : Number.NaN;
  }

  /** Counts anew, so that the next answer of each kind is the first. */
  forget(): void {
    this.child.send('forget');
  }

  async report(): Promise<RacerReport> {
    const heard = this.hears(isReport);
    this.child.send('report');
    return reportOf(await heard);
  }

  /** `kill -9`: it has no moment left for anything. */
  async kill(): Promise<void> {
    const exited = once(this.child, 'exit');
    this.child.kill('SIGKILL');
    await exited;
  }

  /** Lets every caller finish, gives back what is in hand, and ends. */
  async stop(): Promise<RacerReport> {
    const heard = this.hears(isReport);
    const exited = once(this.child, 'exit');
    this.child.send('stop');
    const report = reportOf(await heard);
    await exited;
    return report;
  }

  get isAlive(): boolean {
    return this.child.exitCode === null && this.child.signalCode === null;
  }

  private hears(isIt: Listener['isIt']): Promise<unknown> {
    return new Promise((resolve, reject) => this.listeners.add({ isIt, resolve, reject }));
  }
}

/** A key of a plan of its own, with what a racer has to know of it. */
export async function aRacersKey(api: AppProcess, plan: Record<string, unknown>) {
  const create = controlPlane(api.http);
  const apiStage = await create.apiStage();
  const { id: usagePlanId } = await create.usagePlan({ apiStages: [apiStage], ...plan });
  const { id: keyId, value } = await create.apiKey();
  const added = await api.http.call('POST', `/v1/usage-plans/${usagePlanId}/keys`, {
    body: { keyId },
  });
  expect(added).toMatchObject({ status: 201 });
  return { ...apiStage, apiKey: String(value), keyId: String(keyId) };
}

/** Gateways of one key before one api, which share so many callers. */
export function startRacers(
  api: AppProcess,
  key: Awaited<ReturnType<typeof aRacersKey>>,
  { processes, ...settings }: { processes: number } & Partial<RacerOptions>,
): Promise<PluginRacer[]> {
  const { apiId, stage, apiKey } = key;
  const options = { url: api.url, token: GATEWAY_TOKEN, apiId, stage, apiKey };
  return Promise.all(
    Array.from({ length: processes }, () =>
      PluginRacer.start({ ...options, clients: 1, pauseMs: 20, deadlineMs: 5_000, ...settings }),
    ),
  );
}

/**
 * The most calls that passed in any window of that length, beyond `burst + rate × (window + lease)`: at most 0 when the
 * published bound holds.
 */
export function excessOver(
  passedAt: readonly number[],
  { rate, burst, leaseMs }: { rate: number; burst: number; leaseMs: number },
): number {
  const sorted = passedAt.toSorted((a, b) => a - b);
  let excess = Number.NEGATIVE_INFINITY;
  // With calls i to j the smallest window that holds them is from one to the other.
  for (let from = 0; from < sorted.length; from += 1) {
    for (let to = from; to < sorted.length; to += 1) {
      const windowMs = (sorted[to] ?? 0) - (sorted[from] ?? 0);
      const allowed = burst + (rate * (windowMs + leaseMs)) / 1_000;
      excess = Math.max(excess, to - from + 1 - allowed);
    }
  }
  return excess;
}

interface Listener {
  readonly isIt: (message: unknown) => boolean;
  readonly resolve: (message: unknown) => void;
  readonly reject: (error: Error) => void;
}

interface First {
  readonly first: string;
  readonly at: number;
}

const isFirst = (message: unknown): message is First =>
  typeof message === 'object' && message !== null && 'first' in message;

const isReport = (message: unknown): message is RacerReport =>
  typeof message === 'object' && message !== null && 'outcomes' in message;

function reportOf(message: unknown): RacerReport {
  expect(message).toSatisfy(isReport);
  if (!isReport(message)) throw new Error('no report');
  return message;
}
