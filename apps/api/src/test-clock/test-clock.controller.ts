import { Body, Controller, Get, HttpCode, Post } from '@nestjs/common';
import { ApiOkResponse, ApiTags } from '@nestjs/swagger';
import type { Scope } from '@core/identity';
import { TestClockService } from '@io/identity';
import { Instant } from '@io/platform';
import { Allow, Caller } from '../access/access.js';

class MoveClockDto {
  @Instant({ description: 'Not before the present time of the account.' })
  now: string;
}

class ClockView {
  @Instant()
  now: Date;
}

@ApiTags('Test clock')
@Controller('test-clock')
export class TestClockController {
  constructor(private readonly clock: TestClockService) {}

  /** The time that quotas, periods and invoices of the account go by. */
  @Get()
  @Allow('read')
  @ApiOkResponse({ type: ClockView })
  get(@Caller() scope: Scope) {
    return this.clock.now(scope);
  }

  /** Moves the time of an account in test mode forward; it ticks on from there. */
  @Post()
  @HttpCode(200)
  @Allow('clock:write')
  @ApiOkResponse({ type: ClockView })
  move(@Caller() scope: Scope, @Body() { now }: MoveClockDto) {
    return this.clock.moveTo(scope, new Date(now));
  }
}
