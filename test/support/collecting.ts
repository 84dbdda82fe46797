import { deepStrictEqual } from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { vi } from 'vitest';
import { collect } from '../../apps/cli/src/collect/collect.js';
import type { CollectOptions, Surroundings } from '../../apps/cli/src/collect/collect-options.js';
import { readLogFormat } from '../../apps/cli/src/collect/log-format.js';
import { AccessLogWriter } from './access-log.js';
import { StandInService } from './stand-in-service.js';

const NEVER = new AbortController().signal;

/** Collects a log of the shipped format of nginx once and keeps the position beside it, unless the options say otherwise. */
export function collectOnce(
  {
    log,
    service: { url, token },
    options = {},
  }: {
    log: string;
    service: { readonly url: string; readonly token: string };
    options?: Partial<CollectOptions>;
  },
  around: Partial<Surroundings> = {},
): Promise<void> {
  return collect(
    {
      log,
      format: readLogFormat('{}', 'nginx'),
      service: { url, token },
      state: `${log}.tollgate-state`,
      setAside: `${log}.tollgate-set-aside`,
      intervalMs: 5,
      drainMs: 60_000,
      isOnce: true,
      isDryRun: false,
      skipsLost: false,
      ...options,
    },
    { signal: NEVER, drain: NEVER, say: () => undefined, print: () => undefined, ...around },
  );
}

/** A log, a service and the runs of `tollgate collect` between them, in this process. */
export class Collecting {
  readonly said: string[] = [];
  readonly printed: string[] = [];
  readonly log: AccessLogWriter;

  private constructor(
    readonly folder: string,
    readonly service: StandInService,
  ) {
    this.log = new AccessLogWriter(join(folder, 'access.log'));
  }

  static async start(): Promise<Collecting> {
    const folder = await mkdtemp(join(tmpdir(), 'tollgate-collect-'));
    return new Collecting(folder, await StandInService.start());
  }

  async stop(): Promise<void> {
    await this.service.stop();
    await rm(this.folder, { recursive: true });
  }

  get state(): string {
    return join(this.folder, 'state');
  }

  get sideFile(): string {
    return join(this.folder, 'set-aside');
  }

  /** Collects once, unless the options say otherwise. */
  run(options: Partial<CollectOptions> = {}, around: Partial<Surroundings> = {}): Promise<void> {
    const { state, sideFile: setAside } = this;
    return collectOnce(
      { log: this.log.path, service: this.service, options: { state, setAside, ...options } },
      { say: (line) => this.said.push(line), print: (line) => this.printed.push(line), ...around },
    );
  }

  /** Follows the log while `work` happens and ends when all of it is committed. */
  async whileFollowing(work: () => Promise<void> | void): Promise<void> {
    const stop = new AbortController();
    const following = this.run({ isOnce: false }, { signal: stop.signal });
    try {
      await work();
      await vi.waitFor(() => deepStrictEqual(this.metered, this.passed), { timeout: 30_000 });
    } finally {
      stop.abort();
      await following;
    }
  }

  /** What the service has, and which numbers are missing. */
  get metered(): object {
    const byKey = ({ keyId }: Record<string, string>): string => keyId ?? '';
    return {
      calls: this.service.committed('calls', byKey),
      bytesOut: this.service.committed('bytes-out', byKey),
      gaps: this.service.gaps(),
    };
  }

  /** What it must have: each call that passed, and each of its bytes, once. */
  get passed(): object {
    const { calls, bytesOut } = this.log;
    return { calls: { ...calls }, bytesOut: { ...bytesOut }, gaps: [] };
  }

  /** What is in the side file. */
  setAside(): Record<string, unknown>[] {
    if (!existsSync(this.sideFile)) return [];
    return readFileSync(this.sideFile, 'utf8')
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line));
  }
}
