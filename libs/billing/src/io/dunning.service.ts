import { Injectable, Logger } from '@nestjs/common';
import { dunningFaults, stepAt, type DunningStep } from '@core/billing';
import type { Scope } from '@core/identity';
import {
  BusinessClock,
  InvalidRequest,
  Pages,
  SystemClock,
  type Page,
  type PageQuery,
} from '@io/platform';
import { DunningRepository, type OverdueInvoice } from './dunning.repository.js';

/** The repeating job that looks after overdue invoices, and its queue. */
export const RUN_DUNNING = 'run-dunning';

const DUE_MAX = 500;
const DAY_MS = 86_400_000;

/** An overdue invoice, for how long, and what comes next. */
export interface OverdueStanding extends OverdueInvoice {
  readonly daysOverdue: number;
  readonly next: (DunningStep & { readonly at: Date }) | null;
}

/** What is done about invoices that are not paid when they are due. */
@Injectable()
export class DunningService {
  private readonly logger = new Logger('Dunning');

  constructor(
    private readonly dunning: DunningRepository,
    private readonly clock: BusinessClock,
    private readonly systemClock: SystemClock,
    private readonly pages: Pages,
  ) {}

  schedule(scope: Scope): Promise<DunningStep[]> {
    return this.dunning.schedule(scope);
  }

  /** Sets the account's steps; without any, nothing is done. What was done is not done again. */
  async setSchedule(scope: Scope, steps: readonly DunningStep[]): Promise<DunningStep[]> {
    const faults = dunningFaults(steps);
    if (faults.length > 0) throw new InvalidRequest(faults);
    await this.dunning.setSchedule(scope, steps, await this.clock.now(scope.accountId));
    return this.dunning.schedule(scope);
  }

  /** Does every step whose time has come by its account's clock, and returns how many it were. Runs in any number of workers. */
  async runDue(): Promise<number> {
    const due = await this.dunning.due(this.systemClock.now(), DUE_MAX);
    let done = 0;
    const failures: unknown[] = [];
    for (const invoice of due) {
      try {
        done += await this.dunning.take(invoice, await this.clock.now(invoice.accountId));
      } catch (error) {
        this.logger.error(`The invoice ${invoice.id} could not be dunned.`, error);
        failures.push(error);
      }
    }
    if (failures.length > 0) throw new AggregateError(failures, 'Invoices could not be dunned.');
    return done;
  }

  /** What is overdue by the account's clock, with what was done and what comes next. */
  async overdue(
    scope: Scope,
    filter: { readonly customerId?: string },
    query: PageQuery,
  ): Promise<Page<OverdueStanding>> {
    const list = `overdue-invoices ${scope.accountId} ${JSON.stringify(filter)}`;
    const page = this.pages.request(query, list);
    const at = await this.clock.now(scope.accountId);
    const steps = await this.dunning.schedule(scope);
    const found = await this.dunning.overdue(scope, filter, { at, page });
    const standings = found.map((invoice) => {
      const open = steps.find(
        ({ afterDays }) => !invoice.done.some((step) => step.afterDays === afterDays),
      );
      return {
        ...invoice,
        daysOverdue: Math.floor((at.getTime() - invoice.dueAt.getTime()) / DAY_MS),
        next: open ? { ...open, at: stepAt(open, invoice) } : null,
      };
    });
    return this.pages.page(standings, page, list);
  }
}
