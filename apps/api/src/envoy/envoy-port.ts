import type { Server } from '@grpc/grpc-js';
import {
  Injectable,
  Logger,
  type BeforeApplicationShutdown,
  type OnApplicationBootstrap,
} from '@nestjs/common';
import { Config } from '@io/platform';
import { AuthorizationService } from './authorization.service.js';
import { RateLimitService } from './rate-limit.service.js';

/** How long calls that are under way may take when the process ends; Envoy waits 200 ms by default. */
const GRACE_MS = 5_000;

/** Envoy's two services on a port of their own, when `GRPC_PORT` is set. */
@Injectable()
export class EnvoyPort implements OnApplicationBootstrap, BeforeApplicationShutdown {
  private readonly logger = new Logger('Envoy');
  private server: Server | null = null;
  private boundPort: number | null = null;

  constructor(
    private readonly config: Config,
    private readonly authorization: AuthorizationService,
    private readonly rateLimit: RateLimitService,
  ) {}

  /** The port it listens on; null when it does not. */
  get port(): number | null {
    return this.boundPort;
  }

  /** Whether it does what the settings say. */
  get isReady(): boolean {
    return this.config.grpcPort === null || this.boundPort !== null;
  }

  async onApplicationBootstrap(): Promise<void> {
    const { host, grpcPort } = this.config;
    if (grpcPort === null) return;
    // Read only where it is needed: it takes a part of each start.
    const { addUnary, grpcServer, listen } = await import('./grpc-server.js');
    const server = (this.server = grpcServer());
    addUnary(server, '/envoy.service.auth.v3.Authorization/Check', {
      answer: (request, metadata) => this.authorization.check(request, metadata),
      bytesOf: (answer) => this.authorization.bytesOf(answer),
    });
    addUnary(server, '/envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit', {
      answer: (request, metadata) => this.rateLimit.shouldRateLimit(request, metadata),
      bytesOf: (answer) => this.rateLimit.bytesOf(answer),
    });
    const address = host.includes(':') ? `[${host}]` : host;
    this.boundPort = await listen(server, `${address}:${grpcPort}`);
    this.logger.log(`Envoy's gRPC services listen on ${address}:${this.boundPort}`);
  }

  /** Before the rest stops: decisions of calls under way still need the limits and the database. */
  async beforeApplicationShutdown(): Promise<void> {
    const { server } = this;
    if (!server || this.boundPort === null) return;
    this.boundPort = null;
    const { drain } = await import('./grpc-server.js');
    await drain(server, GRACE_MS);
  }
}
