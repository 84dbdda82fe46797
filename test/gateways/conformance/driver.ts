import type { CaseId } from './cases.js';

/** What a gateway is configured with before it is tried. */
export interface GatewaySetup {
  /** Where the gateway asks: `http://127.0.0.1:port`, a link that the suite can cut. */
  readonly serviceUrl: string;
  /** `host:port` of Envoy's gRPC services. */
  readonly grpcAddress: string;
  /** A link to another port of the service, as `host:port`; it is cut together with the first. */
  linkTo(address: string): Promise<string>;
  readonly gatewayToken: string;
  readonly apiId: string;
  readonly stage: string;
  /** `host:port` of the application behind the gateway. */
  readonly upstream: string;
  /** What the gateway does with calls when it gets no decision. */
  readonly onFailure: 'allow' | 'deny';
  /** How long a call may wait for its decision, in milliseconds. */
  readonly deadlineMs: number;
}

/** A gateway that listens. */
export interface RunningGateway {
  /** `http://127.0.0.1:port`. */
  readonly url: string;
  stop(): Promise<void>;
}

/**
 * How one gateway is started with its shipped configuration. The suite starts several at once: one to try, and ones with
 * a short deadline that fail closed and open.
 */
export interface GatewayDriver {
  readonly name: string;
  /** Programs that have to be on the PATH; empty for a driver that speaks as the gateway would. */
  readonly needs: readonly string[];
  /** The README that shows the declared differences, from the repository's root. */
  readonly readme: string;
  /**
   * Cases that this gateway cannot pass, with the reason, word for word as in its README. They are run all the same: one
   * that passes is a declaration that is out of date, and fails.
   */
  readonly declared?: Partial<Record<CaseId, string>>;
  start(setup: GatewaySetup): Promise<RunningGateway>;
}
