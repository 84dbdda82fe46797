/** What an operator may be, from most to least. */
export const ROLES = ['owner', 'admin', 'finance', 'support', 'read-only'] as const;
export type Role = (typeof ROLES)[number];

/** Groups of routes that are allowed together. */
export type Operation =
  | 'read'
  | 'catalog:write'
  | 'keys:write'
  | 'customers:write'
  | 'billing:write'
  | 'gateways:write'
  | 'notifications:write'
  | 'tokens:write'
  | 'accounts:write'
  | 'clock:write'
  | 'audit:read';

const ALLOWED: Readonly<Record<Operation, readonly Role[]>> = {
  read: ROLES,
  'catalog:write': ['owner', 'admin'],
  'keys:write': ['owner', 'admin', 'support'],
  'customers:write': ['owner', 'admin', 'finance', 'support'],
  'billing:write': ['owner', 'admin', 'finance'],
  'gateways:write': ['owner', 'admin'],
  'notifications:write': ['owner', 'admin'],
  'tokens:write': ['owner', 'admin'],
  'accounts:write': ['owner'],
  'clock:write': ['owner', 'admin', 'finance'],
  'audit:read': ['owner', 'admin'],
};

/** Whether the role may do the operation. What the table does not say is not allowed. */
export function allows(role: Role, operation: Operation): boolean {
  return ALLOWED[operation].includes(role);
}

/** Whether a bearer of one role may make and revoke tokens of another: those that allow no more than its own. */
export function mayGrant(own: Role, granted: Role): boolean {
  return Object.values(ALLOWED).every((roles) => !roles.includes(granted) || roles.includes(own));
}
