import { createHash, timingSafeEqual } from 'node:crypto';
import { Controller, Get, Header, Headers, NotFoundException } from '@nestjs/common';
import { ApiExcludeController } from '@nestjs/swagger';
import { Config } from '@io/platform';
import { Public } from '../access/access.js';
import { tokenOf } from '../access/access.guard.js';
import { Unauthenticated } from '../access/errors.js';
import { DecisionMetricsService } from './decision-metrics.service.js';
import { ExchangeMetricsService } from './exchange-metrics.service.js';
import { exposition } from './exposition.js';
import { MarketplaceMetricsService } from './marketplace-metrics.service.js';
import { ProcessMetricsService } from './process-metrics.service.js';

/**
 * For Prometheus. It has a token of its own, which is no row of the database: metrics are about the whole process and
 * no account, and are wanted most when the database is away. Without that token in the settings there is no such route.
 */
@ApiExcludeController()
@Public()
@Controller('metrics')
export class MetricsController {
  constructor(
    private readonly config: Config,
    private readonly decisions: DecisionMetricsService,
    private readonly exchanges: ExchangeMetricsService,
    private readonly process: ProcessMetricsService,
    private readonly marketplace: MarketplaceMetricsService,
  ) {}

  @Get()
  @Header('Content-Type', 'text/plain; version=0.0.4; charset=utf-8')
  async metrics(@Headers('authorization') authorization: string | undefined): Promise<string> {
    const { metricsToken } = this.config;
    if (metricsToken === null) throw new NotFoundException();
    if (!isSame(tokenOf(authorization), metricsToken)) throw new Unauthenticated();
    const waiting = await Promise.all([
      this.process.metrics(),
      this.exchanges.metrics(),
      this.marketplace.metrics(),
    ]);
    const own = [...this.decisions.metrics(), ...waiting.flat()];
    return exposition(own) + (await this.process.runtimeText());
  }
}

const isSame = (a: string, b: string) => timingSafeEqual(digest(a), digest(b));

const digest = (text: string) => createHash('sha256').update(text).digest();
