import { DomainError } from '@core/kernel';

/** One thing wrong with a request; `pointer` is a JSON pointer into the body, or `?name` for a query parameter. */
export interface FieldFault {
  readonly pointer: string;
  readonly detail: string;
}

/** The request breaks a rule of its own fields; each is named. */
export class InvalidRequest extends DomainError {
  readonly code = 'invalid-request';
  readonly kind = 'invalid';
  readonly facts: { readonly errors: readonly FieldFault[] };

  constructor(errors: readonly FieldFault[]) {
    const [first] = errors;
    super(first ? `${first.pointer}: ${first.detail}` : 'The request is not valid.');
    this.facts = { errors };
  }
}

/** What the request names is not there, or belongs to someone else; the two look alike on purpose. */
export class NotFound extends DomainError {
  readonly code = 'not-found';
  readonly kind = 'not-found';
  readonly facts: Readonly<Record<string, unknown>>;

  constructor(what: string, id: string) {
    super(`There is no ${what} "${id.slice(0, 100)}".`);
    this.facts = { resource: what, id: id.slice(0, 100) };
  }
}

/** The row was changed since the caller read it. */
export class VersionMismatch extends DomainError {
  readonly code = 'version-mismatch';
  readonly kind = 'mismatch';
  readonly facts = {};

  constructor() {
    super('It was changed since you read it: read it again and repeat the change.');
  }
}
