import { DomainError } from '@core/kernel';

/** What names the customer must keep it: keys, also deleted ones, since usage names them, subscriptions, and credit. */
export class CustomerInUse extends DomainError {
  readonly code = 'customer-in-use';
  readonly kind = 'conflict';
  readonly facts: {
    readonly keys: number;
    readonly subscriptions: number;
    readonly credits: number;
    readonly agreements: number;
  };

  constructor(id: string, facts: CustomerInUse['facts']) {
    super(
      `The customer "${id}" has ${facts.keys} api keys (deleted ones count), ${facts.subscriptions} subscriptions, ${facts.credits} grants of credit and ${facts.agreements} agreements of a marketplace.`,
    );
    this.facts = facts;
  }
}

/** The gateway has sent usage, which names it. Disable it instead. */
export class GatewayInUse extends DomainError {
  readonly code = 'gateway-in-use';
  readonly kind = 'conflict';
  readonly facts = {};

  constructor(id: string) {
    super(`The gateway "${id}" has sent usage: disable it instead.`);
  }
}

/** Another gateway of the account has this name. */
export class GatewayExists extends DomainError {
  readonly code = 'gateway-exists';
  readonly kind = 'conflict';
  readonly facts: { readonly name: string };

  constructor(name: string) {
    super(`There already is a gateway named "${name}".`);
    this.facts = { name };
  }
}

/** Nobody could make tokens any more. */
export class LastOwnerToken extends DomainError {
  readonly code = 'last-owner-token';
  readonly kind = 'conflict';
  readonly facts = {};

  constructor() {
    super('This is the last owner token: make another one first.');
  }
}

/** A token makes, and revokes, only what allows no more than it does itself. */
export class RoleNotGrantable extends DomainError {
  readonly code = 'role-not-grantable';
  readonly kind = 'forbidden';
  readonly facts: { readonly role: string };

  constructor(role: string) {
    super(`This token may not make or revoke tokens with the role "${role}".`);
    this.facts = { role };
  }
}

/** Other accounts are the business of the owners of the installation. */
export class NotDefaultAccount extends DomainError {
  readonly code = 'not-default-account';
  readonly kind = 'forbidden';
  readonly facts = {};

  constructor() {
    super('Only an owner of the default account may see and create accounts.');
  }
}

/** The clock of a live account is the world's. */
export class NotATestAccount extends DomainError {
  readonly code = 'not-a-test-account';
  readonly kind = 'conflict';
  readonly facts = {};

  constructor() {
    super('Only the clock of an account in test mode can be moved.');
  }
}
