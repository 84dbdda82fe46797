import { DomainError } from '@core/kernel';

/** News of policy changes does not come in, so nobody can promise that an answer is not an old one. */
export class NotListening extends DomainError {
  readonly code = 'no-news';
  readonly kind = 'unavailable';
  readonly facts = {};

  constructor() {
    super('This process does not hear of policy changes at the moment: ask again.');
  }
}
