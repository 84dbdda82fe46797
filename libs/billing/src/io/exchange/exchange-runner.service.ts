import { setTimeout as sleep } from 'node:timers/promises';
import { Injectable, Logger } from '@nestjs/common';
import { retryExchangeAt, type ExchangeOutcome } from '@core/billing';
import { messageOf, SystemClock } from '@io/platform';
import {
  ClaimLost,
  ExchangeQueueRepository,
  type ClaimedExchange,
  type Pace,
} from './exchange-queue.repository.js';

/** What whoever performs an exchange may ask of its claim. */
export interface ExchangeClaim {
  readonly exchange: ClaimedExchange;
  /** To be awaited before each call to the remote service: keeps the claim, and the account's pace. */
  turn(pace: Pace): Promise<void>;
  /** Lets nobody of the account call for so long. */
  pause(ms: number): Promise<void>;
  /** Keeps what the remote calls what was made there, before anything else is done. */
  made(remoteId: string): Promise<void>;
  /** The remote would repeat its failure under the same keys: the next attempt has others. */
  useUpKeys(): Promise<void>;
  /** Keeps the hash of what is to be sent; false when another was sent under this exchange before. */
  sends(requestHash: Buffer): Promise<boolean>;
}

export type PerformExchange = (claim: ExchangeClaim) => Promise<ExchangeOutcome>;

/** How a run goes about what is due. */
export interface Lanes {
  /** So many exchanges are on their way at once; each entry says which acts its lane takes, those that it prefers first. */
  readonly lanes: readonly (readonly string[])[];
  /** Before each look for what is due, so that a long run sees what became due meanwhile. */
  readonly before?: () => Promise<void>;
}

/** Turns to call are not waited for longer than this; the exchange comes again then. */
const TURN_MAX_MS = 30_000;
const FAULT_MAX = 500;

/** The account has to wait so long for a call that the exchange is put back. */
class TurnTooFar extends Error {
  constructor(readonly at: Date) {
    super('The pace of the account is full.');
  }
}

/** Performs what is due for a remote service. Runs in any number of workers; no exchange is with two of them. */
@Injectable()
export class ExchangeRunnerService {
  private readonly logger = new Logger('Exchanges');

  constructor(
    private readonly queue: ExchangeQueueRepository,
    private readonly clock: SystemClock,
  ) {}

  /** Performs until nothing is due, several at once, and returns how many attempts it made. */
  async run(target: string, perform: PerformExchange, { lanes, before }: Lanes): Promise<number> {
    let attempts = 0;
    const lane = async (acts: readonly string[]) => {
      for (;;) {
        await before?.();
        const claimed = await this.queue.claim(target, acts, this.clock.now());
        if (!claimed) return;
        await this.attempt(claimed, perform);
        attempts += 1;
      }
    };
    await Promise.all(lanes.map(lane));
    return attempts;
  }

  private async attempt(claimed: ClaimedExchange, perform: PerformExchange): Promise<void> {
    const begun = this.clock.now();
    let outcome: ExchangeOutcome;
    try {
      outcome = await perform(this.claim(claimed));
    } catch (error) {
      if (error instanceof ClaimLost) {
        this.logger.warn(error.message);
        return;
      }
      outcome = this.failureOf(claimed, error);
    }
    const ended = this.clock.now();
    const afterMs = outcome.kind === 'failed' ? (outcome.afterMs ?? 0) : 0;
    const next = retryExchangeAt({ tries: claimed.tries, now: ended, afterMs }, Math.random());
    await this.queue.record(claimed, outcome, { begun, ended, next });
    if (outcome.kind === 'refused' || (outcome.kind === 'failed' && next === null)) {
      const { id, act, subjectId, accountId } = claimed;
      this.logger.error(
        `${act} of ${subjectId} of account ${accountId} waits for a person (${id}): ${outcome.fault}`,
      );
    }
  }

  /** What nobody expected may be gone the next time, and shows in the fault until then. */
  private failureOf({ id }: ClaimedExchange, error: unknown): ExchangeOutcome {
    if (error instanceof TurnTooFar) {
      const afterMs = error.at.getTime() - this.clock.nowMs();
      return { kind: 'failed', fault: error.message, afterMs };
    }
    this.logger.error(`${id} failed.`, error);
    return { kind: 'failed', fault: messageOf(error).slice(0, FAULT_MAX) };
  }

  private claim(exchange: ClaimedExchange): ExchangeClaim {
    return {
      exchange,
      turn: async (pace) => {
        const at = await this.queue.turn(exchange, pace, this.clock.now());
        const waitMs = at.getTime() - this.clock.nowMs();
        if (waitMs > TURN_MAX_MS) throw new TurnTooFar(at);
        if (waitMs > 0) await sleep(waitMs);
      },
      pause: (ms) => this.queue.pause(exchange, new Date(this.clock.nowMs() + ms)),
      made: (remoteId) => this.queue.remember(exchange, { remoteId }),
      useUpKeys: () => this.queue.remember(exchange, { keysUsedUp: exchange.keysUsedUp + 1 }),
      sends: async (requestHash) => {
        if (exchange.requestHash) return requestHash.equals(exchange.requestHash);
        await this.queue.remember(exchange, { requestHash });
        return true;
      },
    };
  }
}
