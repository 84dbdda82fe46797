import type { Metadata } from '@grpc/grpc-js';
import { Injectable } from '@nestjs/common';
import type { GatewayPrincipal, Principal } from '@core/identity';
import { Authenticator } from '@io/identity';
import { tokenReader } from '../access/access.guard.js';

/** Finds the gateway that asks by the `authorization` of a gRPC call, which Envoy sends as `initial_metadata`. */
@Injectable()
export class GatewayMetadata {
  private readonly token = tokenReader();

  constructor(private readonly authenticator: Authenticator) {}

  /** The gateway, or null for anybody else; a promise when the token has to be looked up. Never rejects. */
  private gateway(metadata: Metadata): GatewayPrincipal | null | Promise<GatewayPrincipal | null> {
    const values = metadata.get('authorization');
    const [authorization] = values;
    if (values.length !== 1 || typeof authorization !== 'string') return null;
    const token = this.token(authorization);
    const known = this.authenticator.known(token);
    if (known !== undefined) return gatewayOnly(known);
    // Where the database cannot say who this is, it is refused like a stranger: an error would let some calls pass.
    return this.authenticator.principal(token).then(gatewayOnly, () => null);
  }

  /**
   * What `decide` answers for the gateway that asks, at once when nothing has to be asked first; `broken` answers for
   * whatever is thrown on the way. Never throws or rejects.
   */
  answer<T>(
    metadata: Metadata,
    decide: (gateway: GatewayPrincipal | null) => T | Promise<T>,
    broken: (error: unknown) => T,
  ): T | Promise<T> {
    try {
      const gateway = this.gateway(metadata);
      const answer = gateway instanceof Promise ? gateway.then(decide) : decide(gateway);
      return answer instanceof Promise ? answer.catch(broken) : answer;
    } catch (error) {
      return broken(error);
    }
  }
}

const gatewayOnly = (principal: Principal | null): GatewayPrincipal | null =>
  principal?.kind === 'gateway' ? principal : null;
