import { DomainError, type FieldFault } from '@core/kernel';

interface InvalidFacts {
  readonly [name: string]: unknown;
  readonly errors: readonly FieldFault[];
}

/** A rule for billing periods that cannot be read. Names every faulty field. */
export class InvalidPeriodRule extends DomainError {
  readonly code = 'invalid-period-rule';
  readonly kind = 'invalid';

  constructor(readonly facts: InvalidFacts) {
    super(`The rule for billing periods has ${facts.errors.length} faulty field(s).`);
  }
}

/** A request for a preview of a billing period that cannot be read. Names every faulty field. */
export class InvalidPeriodPreview extends DomainError {
  readonly code = 'invalid-billing-period-preview';
  readonly kind = 'invalid';

  constructor(readonly facts: InvalidFacts) {
    super(`The request for a billing period has ${facts.errors.length} faulty field(s).`);
  }
}

/** A billing period that begins before 1970 or does not end by 9999. */
export class PeriodOutOfRange extends DomainError {
  readonly code = 'billing-period-out-of-range';
  readonly kind = 'invalid';
  readonly facts = {
    errors: [{ pointer: '/at', detail: 'must lead to a period within the years 1970 to 9999' }],
  };

  constructor() {
    super('The billing period is not within the years 1970 to 9999.');
  }
}
