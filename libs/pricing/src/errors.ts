import { DomainError, type FieldFault } from '@core/kernel';

interface InvalidFacts {
  readonly [name: string]: unknown;
  readonly errors: readonly FieldFault[];
}

/** A price, or a rate card of prices, that cannot be read. Names every faulty field. */
export class InvalidPrice extends DomainError {
  readonly code = 'invalid-price';
  readonly kind = 'invalid';

  constructor(readonly facts: InvalidFacts) {
    super(`The price has ${facts.errors.length} faulty field(s).`);
  }
}

/** A request for a price preview that cannot be read. Names every faulty field. */
export class InvalidPricePreview extends DomainError {
  readonly code = 'invalid-price-preview';
  readonly kind = 'invalid';

  constructor(readonly facts: InvalidFacts) {
    super(`The request for a price preview has ${facts.errors.length} faulty field(s).`);
  }
}
