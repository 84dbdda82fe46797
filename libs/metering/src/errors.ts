import { DomainError, type FieldFault } from '@core/kernel';

/** How many faults are told; reading stops there. */
export const FAULTS_MAX = 20;

/** A batch that is well formed, but names keys or stages that are not there, or times that cannot be. None of it is kept. */
export class UnusableUsage extends DomainError {
  readonly code = 'unusable-usage';
  readonly kind = 'unprocessable';
  readonly facts: { readonly errors: readonly FieldFault[] };

  constructor(faults: readonly FieldFault[]) {
    const [first] = faults;
    super(`The batch cannot be counted: ${first?.pointer ?? ''} ${first?.detail ?? ''}.`);
    this.facts = { errors: faults.slice(0, FAULTS_MAX) };
  }
}

/** A batch number that was used already, for other records. Nothing was counted; the first content stands. */
export class BatchConflict extends DomainError {
  readonly code = 'batch-conflict';
  readonly kind = 'conflict';
  readonly facts: { readonly epoch: string; readonly sequence: number };

  constructor(epoch: string, sequence: number) {
    super(`Batch ${sequence} of epoch "${epoch}" was received before, with other content.`);
    this.facts = { epoch, sequence };
  }
}

const RETRY_AFTER_SECONDS = 2;

/** More usage came than can be stored at the moment. Nothing of the batch was kept: the same number may come again. */
export class IngestionBusy extends DomainError {
  readonly code = 'ingestion-busy';
  readonly kind = 'unavailable';
  readonly facts = { retryAfterSeconds: RETRY_AFTER_SECONDS };

  constructor() {
    super('More usage came than can be stored at the moment. Send the batch again a little later.');
  }
}

/** An account has as many alert rules as it may. */
export class TooManyAlertRules extends DomainError {
  readonly code = 'too-many-alert-rules';
  readonly kind = 'conflict';
  readonly facts: { readonly rulesMax: number };

  constructor(rulesMax: number) {
    super(`An account has at most ${rulesMax} alert rules.`);
    this.facts = { rulesMax };
  }
}
