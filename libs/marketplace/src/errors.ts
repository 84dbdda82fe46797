import { DomainError } from '@core/kernel';

/** The product code is one that is registered already, here or in another account. */
export class ProductCodeTaken extends DomainError {
  readonly code = 'product-code-taken';
  readonly kind = 'conflict';
  readonly facts: { readonly productCode: string };

  constructor(productCode: string) {
    super(`The product code "${productCode}" is registered already.`);
    this.facts = { productCode };
  }
}

/** A metering record is not in a state in which this can be done. */
export class RecordNotDead extends DomainError {
  readonly code = 'record-not-dead';
  readonly kind = 'conflict';
  readonly facts: { readonly state: string };

  constructor(state: string) {
    super(`The record is ${state}: only a dead one can be sent again, carried or written off.`);
    this.facts = { state };
  }
}

/** A metering record is past its deadline: AWS will not take it any more. */
export class RecordExpired extends DomainError {
  readonly code = 'record-expired';
  readonly kind = 'conflict';
  readonly facts: { readonly deadlineAt: string };

  constructor(deadlineAt: Date) {
    const at = deadlineAt.toISOString();
    super(
      `The marketplace took records of this hour until ${at}: carry its quantity, or write it off.`,
    );
    this.facts = { deadlineAt: at };
  }
}

/** An agreement that has ended has no hour to come that could take a quantity. */
export class AgreementEnded extends DomainError {
  readonly code = 'agreement-ended';
  readonly kind = 'conflict';
  readonly facts: { readonly agreementId: string };

  constructor(agreementId: string) {
    super(`The agreement "${agreementId}" has ended: no later hour can take what it used.`);
    this.facts = { agreementId };
  }
}

/** An agreement is a customer's already. */
export class AgreementTaken extends DomainError {
  readonly code = 'agreement-taken';
  readonly kind = 'conflict';
  readonly facts: { readonly agreementId: string };

  constructor(agreementId: string) {
    super(`The agreement "${agreementId}" belongs to a customer already.`);
    this.facts = { agreementId };
  }
}

/** Keys are given to one of several agreements, or were, while an amount of all that a customer uses is metered. */
export class AmountsOfKeys extends DomainError {
  readonly code = 'amounts-of-keys';
  readonly kind = 'conflict';
  readonly facts: { readonly dimension: string };

  constructor(dimension: string) {
    super(
      `The dimension "${dimension}" is an amount, which has no parts by keys: it is metered for the customer's oldest running agreement, so no keys can be given to one.`,
    );
    this.facts = { dimension };
  }
}

/** A queue of another account: who receives a message takes it from everybody else. */
export class QueueTaken extends DomainError {
  readonly code = 'queue-taken';
  readonly kind = 'conflict';
  readonly facts: { readonly queueUrl: string };

  constructor(queueUrl: string) {
    super(`The queue ${queueUrl} is read for another account.`);
    this.facts = { queueUrl };
  }
}

/** A message of a queue that was followed or dismissed before. */
export class QueueMessageSettled extends DomainError {
  readonly code = 'queue-message-settled';
  readonly kind = 'conflict';
  readonly facts: { readonly state: string };

  constructor(state: string) {
    super(`The message is ${state}: only an open one can be followed or dismissed.`);
    this.facts = { state };
  }
}

/** A message of a queue that still cannot be followed. */
export class QueueMessageNotFollowed extends DomainError {
  readonly code = 'queue-message-not-followed';
  readonly kind = 'conflict';
  readonly facts: { readonly fault: string };

  constructor(fault: string) {
    super(`The message cannot be followed: ${fault}.`);
    this.facts = { fault };
  }
}

/** A registration token that AWS does not know, or not any more. */
export class RegistrationTokenRefused extends DomainError {
  readonly code = 'registration-token-refused';
  readonly kind = 'invalid';
  readonly facts: { readonly isExpired: boolean };

  constructor(isExpired: boolean) {
    super(
      isExpired
        ? 'The registration token has expired: set the account up from AWS Marketplace again.'
        : 'The registration token is not one of AWS Marketplace.',
    );
    this.facts = { isExpired };
  }
}

const RETRY_AFTER_SECONDS = 10;

/** AWS Marketplace did not answer. The same may be asked again. */
export class MarketplaceUnavailable extends DomainError {
  readonly code = 'marketplace-unavailable';
  readonly kind = 'unavailable';
  readonly facts = { retryAfterSeconds: RETRY_AFTER_SECONDS };

  constructor(options: ErrorOptions) {
    super('AWS Marketplace does not answer. Try again in a moment.', options);
  }
}

/** A claim of an agreement that is unknown, used or older than four hours. */
export class ClaimRefused extends DomainError {
  readonly code = 'claim-refused';
  readonly kind = 'forbidden';
  readonly facts = {};

  constructor() {
    super(
      'The claim is unknown, was used, or is too old: set the account up from AWS Marketplace again.',
    );
  }
}

/** A message that is not Amazon's, or of no topic of ours. */
export class SnsMessageRefused extends DomainError {
  readonly code = 'sns-message-refused';
  readonly kind = 'forbidden';
  readonly facts = {};

  constructor(why: string, options?: ErrorOptions) {
    super(`The message is refused: ${why}.`, options);
  }
}
