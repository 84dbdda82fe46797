import { Injectable, Logger } from '@nestjs/common';
import { RECORD_LIMITS } from '@core/metering';
import { SystemClock } from '@io/platform';
import { ConnectionsRepository } from './connections.repository.js';

/** The repeating job that ends connections of dead gateways and counts minutes, and its queue. */
export const COUNT_CONNECTIONS = 'count-connections';

/** A gateway that was not heard of for so long is dead until it is heard of again. Six heartbeats of the Node plugin. */
const SILENCE_MS = 3 * 60_000;
/** How often the minutes of open connections are counted without being asked for: a write for each connection. */
const OPEN_EVERY_MS = 5 * 60_000;
const DAY_MS = 86_400_000;
/** For so long a connection that is closed and counted is remembered. */
const CLOSED_KEPT_DAYS = 7;
/** Longer than the oldest record that is taken: no close can come later. */
const EPOCH_KEPT_DAYS = (RECORD_LIMITS.pastMonths + 1) * 31;

/**
 * Makes usage records of the minutes that connections live.
 *
 *     opened ──heartbeats──▶ alive ──closed──▶ counted to its close
 *                              │ silence                ▲
 *                              └─▶ counted to the last heartbeat ──late close, late heartbeat──▶ counted anew from there
 */
@Injectable()
export class ConnectionsService {
  private readonly logger = new Logger('Connections');

  constructor(
    private readonly connections: ConnectionsRepository,
    private readonly clock: SystemClock,
  ) {}

  /**
   * Ends what was open at gateways that are silent, counts what is due, forgets what is old, and returns of how many connections
   * minutes were counted. Any number of workers may run it at once, and each may die in it.
   */
  async run(): Promise<number> {
    for (const { gatewayId, epoch, connections } of await this.connections.sweep(SILENCE_MS)) {
      if (connections > 0)
        this.logger.warn(
          `Gateway ${gatewayId} is silent: ${connections} connection(s) of epoch ${JSON.stringify(epoch)} ended with its last heartbeat`,
        );
    }
    const counted = await this.count(null);
    const nowMs = this.clock.now().getTime();
    await this.connections.trim({
      closedBefore: new Date(nowMs - CLOSED_KEPT_DAYS * DAY_MS),
      heardBefore: new Date(nowMs - EPOCH_KEPT_DAYS * DAY_MS),
    });
    return counted;
  }

  /** Counts every minute that an account's gateways told of before the call, with null those of any that are due. */
  async count(accountId: string | null): Promise<number> {
    let counted = 0;
    const untilNone = async (count: () => Promise<number>): Promise<void> => {
      for (let some = await count(); some > 0; some = await count()) counted += some;
    };
    await untilNone(() => this.connections.countClosed(accountId));
    for (const epoch of await this.connections.dueEpochs(accountId, OPEN_EVERY_MS)) {
      await untilNone(() => this.connections.countOpen(epoch));
      await this.connections.markCounted(epoch);
    }
    return counted;
  }
}
