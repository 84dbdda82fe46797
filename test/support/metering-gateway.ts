import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { TollgateEvent } from '@core/gateway-plugin';
import { entryOf } from '../../scripts/build.mjs';

const PROGRAM = fileURLToPath(new URL('metering-gateway.mjs', import.meta.url));

/** What the gateway is told at its start; the rest are options of `createTollgate`. */
export interface MeteringGatewayOptions {
  readonly url: string;
  readonly token: string;
  readonly apiId: string;
  readonly stage: string;
  readonly apiKeys: readonly string[];
  readonly clients: number;
  /** How wrong its clock is. */
  readonly skewMs: number;
  readonly flushIntervalMs: number;
  readonly closeTimeoutMs: number;
  readonly spoolDir?: string;
}

/** A call that reached the application. */
export interface PassedCall {
  readonly at: number;
  readonly keyId: string;
  readonly resourcePath: string;
  readonly method: string;
  readonly status: number;
  readonly bytes: number;
}

/** A gateway that can be started and ended in order again and again, see `metering-gateway.mjs`. */
export class MeteringGateway {
  readonly events: TollgateEvent[] = [];
  private child: ChildProcess | null = null;

  constructor(
    private readonly file: string,
    private readonly options: MeteringGatewayOptions,
  ) {}

  async start(more: Partial<MeteringGatewayOptions> = {}): Promise<void> {
    const plugin = join(entryOf('api'), '../../../../libs/gateway-plugin/src/index.js');
    const options = JSON.stringify({ ...this.options, ...more });
    this.child = fork(PROGRAM, [plugin, options, this.file], { execArgv: [] });
    await once(this.child, 'message');
  }

  /** Lets it end in order, and keeps what it told. */
  async stop(): Promise<void> {
    const { child } = this;
    if (child === null) return;
    const told = once(child, 'message');
    const exited = once(child, 'exit');
    child.send('stop');
    const [{ events }] = (await told) as [{ events: TollgateEvent[] }];
    this.events.push(...events);
    await exited;
    this.child = null;
  }

  kill(): void {
    this.child?.kill('SIGKILL');
  }

  passed(): PassedCall[] {
    if (!existsSync(this.file)) return [];
    const lines = readFileSync(this.file, 'utf8').split('\n');
    return lines.filter((line) => line !== '').map((line) => JSON.parse(line) as PassedCall);
  }
}
