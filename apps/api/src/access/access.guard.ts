import {
  Injectable,
  type CanActivate,
  type ExecutionContext,
  type OnModuleInit,
} from '@nestjs/common';
import { PATH_METADATA } from '@nestjs/common/constants.js';
import { DiscoveryService, MetadataScanner, Reflector } from '@nestjs/core';
import { allows, type Principal } from '@core/identity';
import { Authenticator } from '@io/identity';
import type { FastifyRequest } from 'fastify';
import { ACCESS, setPrincipal, type Access } from './access.js';
import { NotAllowed, Unauthenticated } from './errors.js';

/** Lets a request through when its token may use the route. What no route says is not allowed. */
@Injectable()
export class AccessGuard implements CanActivate, OnModuleInit {
  constructor(
    private readonly reflector: Reflector,
    private readonly authenticator: Authenticator,
    private readonly discovery: DiscoveryService,
    private readonly scanner: MetadataScanner,
  ) {}

  /** Refuses to start while a route does not say who may use it. */
  onModuleInit(): void {
    for (const { metatype, instance } of this.discovery.getControllers()) {
      if (typeof metatype !== 'function' || !instance) continue;
      const prototype = Object.getPrototypeOf(instance) as Record<string, object>;
      for (const name of this.scanner.getAllMethodNames(prototype)) {
        const method = prototype[name];
        if (!method || !Reflect.hasMetadata(PATH_METADATA, method)) continue;
        if (Reflect.hasMetadata(ACCESS, method) || Reflect.hasMetadata(ACCESS, metatype)) continue;
        throw new Error(`${metatype.name}.${name} does not say who may use it (access.ts).`);
      }
    }
  }

  async canActivate(context: ExecutionContext): Promise<boolean> {
    const access = this.reflector.getAllAndOverride<Access>(ACCESS, [
      context.getHandler(),
      context.getClass(),
    ]);
    if (access.kind === 'public') return true;
    const request = context.switchToHttp().getRequest<FastifyRequest>();
    const principal = await this.authenticator.principal(tokenOf(request.headers.authorization));
    if (!principal) throw new Unauthenticated();
    check(principal, access);
    setPrincipal(request, principal);
    return true;
  }
}

function check(principal: Principal, access: Exclude<Access, { kind: 'public' }>): void {
  if (principal.kind === 'operator' && allows(principal.role, access.operation)) return;
  if (principal.kind === 'customer' && access.customers) return;
  throw new NotAllowed(access.operation);
}

/** The token of `Authorization: Bearer …`, or an empty text. */
export function tokenOf(authorization = ''): string {
  return /^Bearer +(\S+) *$/i.exec(authorization)?.[1] ?? '';
}

/** `tokenOf` for the hot paths, which remembers the last one: a gateway sends the same with every call. */
export function tokenReader(): (authorization: string | undefined) => string {
  let last: string | undefined;
  let token = '';
  return (authorization) => {
    if (authorization === undefined || authorization !== last) {
      last = authorization;
      token = tokenOf(authorization);
    }
    return token;
  };
}
