export { allows, mayGrant, ROLES, type Operation, type Role } from './roles.js';
export type {
  CustomerPrincipal,
  GatewayPrincipal,
  OperatorPrincipal,
  Principal,
  Scope,
} from './principal.js';
export { scopeOf } from './principal.js';
