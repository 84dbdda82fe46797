import { Controller, Get } from '@nestjs/common';
import { ApiExcludeController } from '@nestjs/swagger';
import { DomainError } from '@core/kernel';
import { Database } from '@io/platform';
import { Public } from '../access/access.js';
import { EnvoyPort } from '../envoy/envoy-port.js';

class NotReady extends DomainError {
  readonly code = 'not-ready';
  readonly kind = 'unavailable';
  readonly facts = {};
}

/** For whoever runs the process: is it alive, may it get traffic. */
@ApiExcludeController()
@Public()
@Controller('health')
export class HealthController {
  constructor(
    private readonly db: Database,
    private readonly envoy: EnvoyPort,
  ) {}

  /** The event loop answers; nothing else is asked. */
  @Get('live')
  live() {
    return { status: 'live' };
  }

  /** The database answers and is migrated, and every port that was asked for is open. */
  @Get('ready')
  async ready() {
    try {
      await this.db.$queryRaw`SELECT 1 FROM account LIMIT 1`;
    } catch {
      throw new NotReady('The database does not answer.');
    }
    if (!this.envoy.isReady) throw new NotReady('The gRPC port is closed.');
    return { status: 'ready' };
  }
}
