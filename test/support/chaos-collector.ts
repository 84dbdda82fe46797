import { existsSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { AccessLogWriter, type AccessLogContent } from './access-log.js';
import { startCollector } from './collector-process.js';

const LINES_MAX = 25;
const HOUR_MS = 3_600_000;
/** Lines are 300 ms apart and come much faster: in half an hour of them the log does not reach what would be the future. */
const HOURS_OF_LOG = 60;

/** An access log that is written and rotated, and `tollgate collect` on it, which dies again and again. */
export class ChaosCollector {
  /** How often it was killed. */
  kills = 0;
  private readonly log: AccessLogWriter;

  constructor(
    private readonly options: {
      readonly program: string;
      readonly service: { readonly url: string; readonly token: string };
      readonly path: string;
      readonly random: (bound: number) => number;
    } & Required<Pick<AccessLogContent, 'apiId' | 'stage' | 'keyIds' | 'onPassed'>>,
  ) {
    const { path, apiId, stage, keyIds, onPassed } = options;
    const startsAt = Date.now() - HOURS_OF_LOG * HOUR_MS;
    this.log = new AccessLogWriter(path, {
      apiId,
      stage,
      keyIds,
      onPassed,
      startsAt,
      stepMs: 300,
    });
  }

  /** Writes, rotates, starts and kills until it is told to end. */
  async run(isOver: () => boolean): Promise<void> {
    const { program, service, path, random } = this.options;
    while (!isOver()) {
      const { child, exited } = startCollector(program, { log: path, service });
      for (let steps = 40 + random(250); steps > 0 && !isOver(); steps -= 1) {
        this.write();
        await sleep(random(30));
      }
      child.kill('SIGKILL');
      const end = await exited;
      if (!end.startsWith('SIGKILL')) throw new Error(`The collector ended by itself: ${end}`);
      this.kills += 1;
      this.write();
    }
  }

  /** Sends the rest. */
  async finish(): Promise<void> {
    const { program, service, path } = this.options;
    this.log.append(1);
    const { exited } = startCollector(program, { log: path, service, options: ['--once'] });
    const end = await exited;
    if (!end.startsWith('0 ')) throw new Error(`The collector left something: ${end}`);
  }

  private write(): void {
    const { random, path } = this.options;
    this.log.append(1 + random(LINES_MAX));
    // What was rotated before the first start is not the collector's: it begins with the live file.
    const chance = existsSync(`${path}.tollgate-state`) ? random(150) : undefined;
    if (chance === 0) this.log.rename();
    else if (chance === 1) this.log.copyTruncate();
    else if (chance === 2) this.log.compress();
  }
}
