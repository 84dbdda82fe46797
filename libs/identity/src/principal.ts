import type { Role } from './roles.js';

/** Who is asking, taken from the credential alone; never from what the request says. */
export type Principal = OperatorPrincipal | GatewayPrincipal | CustomerPrincipal;

interface Bearer {
  /** The id of the token. */
  readonly id: string;
  readonly accountId: string;
}

export interface OperatorPrincipal extends Bearer {
  readonly kind: 'operator';
  readonly role: Role;
}

/** A gateway: decisions and usage only. */
export interface GatewayPrincipal extends Bearer {
  readonly kind: 'gateway';
  readonly gatewayId: string;
}

/** A customer's own token: their own data only. */
export interface CustomerPrincipal extends Bearer {
  readonly kind: 'customer';
  readonly customerId: string;
}

/** Whose rows a request may see: the account's, and for a customer only their own. */
export interface Scope {
  readonly accountId: string;
  readonly customerId?: string;
  /** Who acts, for the audit log. */
  readonly principalId: string;
}

export function scopeOf(principal: Principal): Scope {
  const scope = { accountId: principal.accountId, principalId: principal.id };
  return principal.kind === 'customer' ? { ...scope, customerId: principal.customerId } : scope;
}
