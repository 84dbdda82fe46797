import type { Metadata } from '@grpc/grpc-js';
import { Injectable } from '@nestjs/common';
import type { GatewayPrincipal, Principal } from '@core/identity';
import { Authenticator } from '@io/identity';
import { tokenOf } from '../access/access.guard.js';

/** Finds the gateway that asks by the `authorization` of a gRPC call, which Envoy sends as `initial_metadata`. */
@Injectable()
export class GatewayMetadata {
  private lastAuthorization: string | undefined;
  private lastToken = '';

  constructor(private readonly authenticator: Authenticator) {}

  /** The gateway, or null for anybody else; a promise when the token has to be looked up. Never rejects. */
  gateway(metadata: Metadata): GatewayPrincipal | null | Promise<GatewayPrincipal | null> {
    const values = metadata.get('authorization');
    const [authorization] = values;
    if (values.length !== 1 || typeof authorization !== 'string') return null;
    const token = this.token(authorization);
    const known = this.authenticator.known(token);
    if (known !== undefined) return gatewayOnly(known);
    // Where the database cannot say who this is, it is refused like a stranger: an error would let some calls pass.
    return this.authenticator.principal(token).then(gatewayOnly, () => null);
  }

  /** A gateway sends the same text with every call. */
  private token(authorization: string): string {
    if (authorization !== this.lastAuthorization) {
      this.lastAuthorization = authorization;
      this.lastToken = tokenOf(authorization);
    }
    return this.lastToken;
  }
}

const gatewayOnly = (principal: Principal | null): GatewayPrincipal | null =>
  principal?.kind === 'gateway' ? principal : null;
