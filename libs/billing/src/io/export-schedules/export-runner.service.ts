import { Injectable, Logger } from '@nestjs/common';
import { retryExchangeAt } from '@core/billing';
import { messageOf, SystemClock } from '@io/platform';
import {
  ExportRunsRepository,
  type ClaimedExportRun,
  type ExportOutcome,
} from './export-runs.repository.js';
import { ExportSchedulesRepository } from './export-schedules.repository.js';
import { TargetRefused } from './export-targets.js';
import { ExportWriterService, type ExportClaim } from './export-writer.service.js';

/** The repeating job that writes what is due, and its queue. */
export const RUN_EXPORT_SCHEDULES = 'run-export-schedules';

const PLANNED_AT_ONCE = 100;
const KEEP_EVERY_MS = 60_000;
const FAULT_MAX = 500;

/** Another worker has the run. */
class ClaimLost extends Error {
  constructor({ id, attempt }: ClaimedExportRun) {
    super(`Attempt ${attempt} of export run ${id} has lost its claim.`);
  }
}

/**
 * Writes exports for their schedules. The database says what is due: a lost job or a killed worker only costs time. A period of a schedule has one
 * run and one name; written again after a crash, it is over what was there.
 */
@Injectable()
export class ExportRunnerService {
  private readonly logger = new Logger('Exports');

  constructor(
    private readonly schedules: ExportSchedulesRepository,
    private readonly runs: ExportRunsRepository,
    private readonly writer: ExportWriterService,
    private readonly clock: SystemClock,
  ) {}

  /** Writes until nothing is due, and returns how many attempts it made. Runs in any number of workers. */
  async runDue(): Promise<number> {
    let planned: number;
    do planned = await this.schedules.planDue(this.clock.now(), PLANNED_AT_ONCE);
    while (planned > 0);
    for (let attempts = 0; ; attempts += 1) {
      const claimed = await this.runs.claim(this.clock.now());
      if (!claimed) return attempts;
      await this.attempt(claimed);
    }
  }

  private async attempt(claimed: ClaimedExportRun): Promise<void> {
    const { accountId, scheduleId, period } = claimed;
    let outcome: ExportOutcome;
    try {
      const schedule = await this.schedules.open(accountId, scheduleId);
      // With its schedule the run is gone too.
      if (!schedule) return;
      const order = { accountId, schedule, period };
      outcome = { kind: 'done', written: await this.writer.write(order, this.claimOf(claimed)) };
    } catch (error) {
      if (error instanceof ClaimLost) {
        this.logger.warn(error.message);
        return;
      }
      outcome = this.failureOf(claimed, error);
    }
    await this.runs.record(claimed, outcome, this.clock.now());
    if (outcome.kind === 'failed' && outcome.next === null) {
      this.logger.error(
        `Export run ${claimed.id} of account ${accountId} waits for a person: ${outcome.fault}`,
      );
    }
  }

  private failureOf({ id, tries }: ClaimedExportRun, error: unknown): ExportOutcome {
    if (!(error instanceof TargetRefused)) this.logger.error(`Export run ${id} failed.`, error);
    const isFinal = error instanceof TargetRefused && error.isFinal;
    const next = isFinal ? null : retryExchangeAt({ tries, now: this.clock.now() }, Math.random());
    return { kind: 'failed', fault: messageOf(error).slice(0, FAULT_MAX), next };
  }

  private claimOf(claimed: ClaimedExportRun): ExportClaim {
    let keptMs = this.clock.monotonicMs();
    const confirm = async () => {
      keptMs = this.clock.monotonicMs();
      if (!(await this.runs.keep(claimed, this.clock.now()))) throw new ClaimLost(claimed);
    };
    const keep = async () => {
      if (this.clock.monotonicMs() - keptMs >= KEEP_EVERY_MS) await confirm();
    };
    return { runId: claimed.id, attempt: claimed.attempt, keep, confirm };
  }
}
