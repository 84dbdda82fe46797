import { DomainError, type FieldFault } from '@core/kernel';

/** How many faults are told; reading stops there. */
export const FAULTS_MAX = 20;

/** Connections of a batch name keys or stages that are not there, impossible times, or contradict what was told. None of the batch is kept. */
export class UnusableConnections extends DomainError {
  readonly code = 'unusable-connections';
  readonly kind = 'unprocessable';
  readonly facts: { readonly errors: readonly FieldFault[] };

  constructor(faults: readonly FieldFault[]) {
    const [first] = faults;
    super(`The connections cannot be counted: ${first?.pointer ?? ''} ${first?.detail ?? ''}.`);
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

/** More usage came than can be stored at the moment. Nothing of the request was kept: the same may come again. */
export class IngestionBusy extends DomainError {
  readonly code = 'ingestion-busy';
  readonly kind = 'unavailable';
  readonly facts = { retryAfterSeconds: RETRY_AFTER_SECONDS };

  constructor() {
    super('More usage came than can be stored at the moment. Send it again a little later.');
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

/** Events that are well formed, but that nobody can be charged for, or no meter can count. None of the request is kept. */
export class UnusableEvents extends DomainError {
  readonly code = 'unusable-events';
  readonly kind = 'unprocessable';
  readonly facts: { readonly errors: readonly FieldFault[] };

  constructor(faults: readonly FieldFault[]) {
    const [first] = faults;
    super(`The events cannot be counted: ${first?.pointer ?? ''} ${first?.detail ?? ''}.`);
    this.facts = { errors: faults.slice(0, FAULTS_MAX) };
  }
}

/** An event whose source and id came before, with other content. None of the request is kept; the first content stands. */
export class EventConflict extends DomainError {
  readonly code = 'event-conflict';
  readonly kind = 'conflict';
  readonly facts: { readonly errors: readonly FieldFault[] };

  constructor(pointers: readonly string[]) {
    super('An event of this source and id was received before, with other content.');
    const detail = 'was received before, with other content';
    this.facts = { errors: pointers.slice(0, FAULTS_MAX).map((pointer) => ({ pointer, detail })) };
  }
}

/** A meter that counted events already: what it counts stays as it is, and it cannot be deleted. */
export class MeterInUse extends DomainError {
  readonly code = 'meter-in-use';
  readonly kind = 'conflict';
  readonly facts: { readonly meter: string };

  constructor(meter: string) {
    super(`The meter "${meter}" has counted events: deactivate it and make another one.`);
    this.facts = { meter };
  }
}

/** Another meter of the account has this name. */
export class MeterNameTaken extends DomainError {
  readonly code = 'meter-name-taken';
  readonly kind = 'conflict';
  readonly facts: { readonly meter: string };

  constructor(meter: string) {
    super(`There is a meter "${meter}" already.`);
    this.facts = { meter };
  }
}

/** Numbers of batches of one epoch of a gateway, both ends included. */
export interface BatchNumbers {
  readonly gatewayId: string;
  readonly epoch: string;
  readonly first: number;
  readonly last: number;
}

/** Numbers cannot be waived: some came, some were waived before, or no later batch shows that they are missing. */
export class UsageGapNotOpen extends DomainError {
  readonly code = 'usage-gap-not-open';
  readonly kind = 'conflict';
  readonly facts: Readonly<Record<keyof BatchNumbers, string | number>>;

  constructor(numbers: BatchNumbers) {
    const { epoch, first, last } = numbers;
    super(
      `Not all of the batches ${first} to ${last} of epoch "${epoch}" are missing: some came, were waived before, or are not below the highest. GET /v1/usage/gaps lists those that can be waived.`,
    );
    this.facts = { ...numbers };
  }
}

/** A quarantined record that cannot be counted as it is, or as it was corrected. Nothing was changed. */
export class RecordUnusable extends DomainError {
  readonly code = 'record-unusable';
  readonly kind = 'unprocessable';
  readonly facts: { readonly errors: readonly FieldFault[] };

  constructor(faults: readonly FieldFault[]) {
    const [first] = faults;
    super(`The record cannot be counted: ${first?.pointer ?? ''} ${first?.detail ?? ''}.`);
    this.facts = { errors: faults };
  }
}

/** A quarantined record was settled before, otherwise than is asked for now. */
export class RecordSettled extends DomainError {
  readonly code = 'record-settled';
  readonly kind = 'conflict';
  readonly facts: { readonly state: string };

  constructor(state: string) {
    super(`The record was ${state} before, and stays so.`);
    this.facts = { state };
  }
}

/** Corrections that cannot be made, with the reason of each. None of the request was made. */
export class CorrectionUnusable extends DomainError {
  readonly code = 'correction-unusable';
  readonly kind = 'unprocessable';
  readonly facts: { readonly errors: readonly FieldFault[] };

  constructor(faults: readonly FieldFault[]) {
    const [first] = faults;
    super(`Usage cannot be corrected so: ${first?.pointer ?? ''} ${first?.detail ?? ''}.`);
    this.facts = { errors: faults.slice(0, FAULTS_MAX) };
  }
}

/** Records that have a correction already, which can itself be corrected. None of the request was made. */
export class RecordCorrected extends DomainError {
  readonly code = 'record-corrected';
  readonly kind = 'conflict';
  readonly facts: { readonly correctionIds: readonly string[] };

  constructor(correctionIds: readonly string[]) {
    super(
      `A record is corrected by "${correctionIds[0]}" already: correct that one, or drop it while it waits.`,
    );
    this.facts = { correctionIds };
  }
}

/** A correction was settled before, otherwise than is asked for now. */
export class CorrectionSettled extends DomainError {
  readonly code = 'correction-settled';
  readonly kind = 'conflict';
  readonly facts: { readonly state: string };

  constructor(state: string) {
    super(
      `The correction was ${state} before, and stays so. One that was applied can be corrected.`,
    );
    this.facts = { state };
  }
}
