import {
  applyDecorators,
  createParamDecorator,
  SetMetadata,
  type ExecutionContext,
} from '@nestjs/common';
import { ApiBearerAuth } from '@nestjs/swagger';
import {
  allows,
  scopeOf,
  type GatewayPrincipal,
  type Operation,
  type OperatorPrincipal,
  type Principal,
  type Scope,
} from '@core/identity';
import type { FastifyRequest } from 'fastify';
import { NotAllowed, Unauthenticated } from './errors.js';

/** Who may use a route. Every route says so; one that does not keeps the process from starting. */
export type Access =
  | { readonly kind: 'public' }
  | { readonly kind: 'operator'; readonly operation: Operation; readonly customers: boolean };

export const ACCESS = 'tollgate:access';

export const Public = () => SetMetadata(ACCESS, { kind: 'public' } satisfies Access);

/** Operators whose role allows the operation. */
export const Allow = (operation: Operation) =>
  applyDecorators(
    SetMetadata(ACCESS, { kind: 'operator', operation, customers: false } satisfies Access),
    ApiBearerAuth(),
  );

/** Operators whose role allows it, and customers for their own data: the scope carries their `customerId`. */
export const AllowCustomersToo = (operation: Operation) =>
  applyDecorators(
    SetMetadata(ACCESS, { kind: 'operator', operation, customers: true } satisfies Access),
    ApiBearerAuth(),
  );

const principals = new WeakMap<FastifyRequest, Principal>();

/** Remembers whom the guard found. */
export function setPrincipal(request: FastifyRequest, principal: Principal): void {
  principals.set(request, principal);
}

/** Whom the guard found; throws on a route without one. */
export function principalOf(request: FastifyRequest): Principal {
  const principal = principals.get(request);
  if (!principal) throw new Unauthenticated();
  return principal;
}

/** The gateway that asks, for the routes beside Nest that only gateways use. */
export function gatewayOf(principal: Principal | null): GatewayPrincipal {
  if (!principal) throw new Unauthenticated();
  if (principal.kind !== 'gateway') throw new NotAllowed('a gateway token');
  return principal;
}

/** Whose rows this request may see. */
export const Caller = createParamDecorator((_: unknown, context: ExecutionContext): Scope =>
  scopeOf(principalOf(context.switchToHttp().getRequest<FastifyRequest>())),
);

/** Whom the token stands for, where the scope is not enough. */
export const Bearer = createParamDecorator((_: unknown, context: ExecutionContext): Principal =>
  principalOf(context.switchToHttp().getRequest<FastifyRequest>()),
);

/** The operator who asks, on a route that is for operators only. */
export const Operator = createParamDecorator(
  (_: unknown, context: ExecutionContext): OperatorPrincipal => {
    const principal = principalOf(context.switchToHttp().getRequest<FastifyRequest>());
    if (principal.kind !== 'operator') throw new NotAllowed('an operator token');
    return principal;
  },
);

/** For the part of a route that asks for more than the route itself: operators whose role allows the operation. */
export function requireOperation(principal: Principal, operation: Operation): void {
  if (principal.kind === 'operator' && allows(principal.role, operation)) return;
  throw new NotAllowed(operation);
}
