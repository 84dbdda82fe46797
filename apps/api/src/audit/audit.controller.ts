import { Controller, Get, Query } from '@nestjs/common';
import { ApiOkResponse, ApiTags } from '@nestjs/swagger';
import type { Scope } from '@core/identity';
import { AuditService } from '@io/identity';
import { Instant, Int, JsonObject, ListOf, PageQuery, Text } from '@io/platform';
import { Allow, Caller } from '../access/access.js';

class AuditEventView {
  @Int({ min: 0, max: Number.MAX_SAFE_INTEGER })
  sequence: number;

  @Instant()
  at: Date;

  @Text({ description: 'The id of the token that was used.' })
  principalId: string;

  @Text({ example: 'create-usage-plan' })
  action: string;

  @Text({ description: 'The id of what was changed.' })
  subject: string;

  @JsonObject({ nullable: true })
  before: object | null;

  @JsonObject({ nullable: true })
  after: object | null;

  @Text({ description: 'SHA-256 of this event and all before it, in hexadecimal.' })
  hash: string;
}

class AuditEventPage {
  @ListOf(() => AuditEventView, { max: 500 })
  items: AuditEventView[];

  @Text({ optional: true })
  next?: string;
}

@ApiTags('Audit')
@Controller('audit-events')
export class AuditController {
  constructor(private readonly audit: AuditService) {}

  /** What was changed, by whom, newest first. */
  @Get()
  @Allow('audit:read')
  @ApiOkResponse({ type: AuditEventPage })
  list(@Caller() scope: Scope, @Query() query: PageQuery) {
    return this.audit.list(scope, query);
  }
}
