import { DomainError } from '@core/kernel';

/** No credential, or one that is unknown, revoked or expired. */
export class Unauthenticated extends DomainError {
  readonly code = 'unauthenticated';
  readonly kind = 'unauthenticated';
  readonly facts = {};

  constructor() {
    super('Send a valid token: `Authorization: Bearer <token>`.');
  }
}

/** The credential is good, but not for this. */
export class NotAllowed extends DomainError {
  readonly code = 'not-allowed';
  readonly kind = 'forbidden';
  readonly facts: Readonly<Record<string, unknown>>;

  constructor(needed: string) {
    super(`This token may not do that: it needs "${needed}".`);
    this.facts = { needed };
  }
}
