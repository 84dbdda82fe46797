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
  | 'tokens:write'
  | 'accounts:write'
  | 'clock:write';

const ALLOWED: Readonly<Record<Operation, readonly Role[]>> = {
  read: ROLES,
  'catalog:write': ['owner', 'admin'],
  'keys:write': ['owner', 'admin', 'support'],
  'customers:write': ['owner', 'admin', 'finance', 'support'],
  'billing:write': ['owner', 'admin', 'finance'],
  'gateways:write': ['owner', 'admin'],
  'tokens:write': ['owner', 'admin'],
  'accounts:write': ['owner'],
  'clock:write': ['owner', 'admin', 'finance'],
};

/** Whether the role may do the operation. What the table does not say is not allowed. */
export function allows(role: Role, operation: Operation): boolean {
  return ALLOWED[operation].includes(role);
}
