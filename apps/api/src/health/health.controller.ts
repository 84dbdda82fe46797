import { Controller, Get, Query } from '@nestjs/common';
import { ApiExcludeController } from '@nestjs/swagger';
import { DomainError } from '@core/kernel';
import { PolicyCache } from '@io/catalog';
import { Database, OneOf } from '@io/platform';
import { Public } from '../access/access.js';
import { EnvoyPort } from '../envoy/envoy-port.js';

class NotReady extends DomainError {
  readonly code = 'not-ready';
  readonly kind = 'unavailable';
  readonly facts = {};
}

class ReadyQuery {
  @OneOf(['decisions'], { optional: true })
  for?: string;
}

/** For whoever runs the process: is it alive, may it get traffic. */
@ApiExcludeController()
@Public()
@Controller('health')
export class HealthController {
  constructor(
    private readonly db: Database,
    private readonly envoy: EnvoyPort,
    private readonly policies: PolicyCache,
  ) {}

  /** The event loop answers; nothing else is asked. */
  @Get('live')
  live() {
    return { status: 'live' };
  }

  /**
   * The database answers and is migrated, and every port that was asked for is open. For decisions the database may be
   * away for as long as policies in memory are used without it: a balancer that takes the process out of service then
   * would refuse calls that could pass.
   */
  @Get('ready')
  async ready(@Query() { for: purpose }: ReadyQuery) {
    try {
      await this.db.$queryRaw`SELECT 1 FROM account LIMIT 1`;
    } catch {
      if (purpose !== 'decisions' || !this.policies.isUsable)
        throw new NotReady('The database does not answer.');
    }
    if (!this.envoy.isReady) throw new NotReady('The gRPC port is closed.');
    return { status: 'ready' };
  }
}
