import { Body, Controller, Get, HttpCode, Param, Post, Query } from '@nestjs/common';
import { ApiOkResponse, ApiTags } from '@nestjs/swagger';
import type { Scope } from '@core/identity';
import { QueuesService } from '@io/marketplace';
import { given } from '@io/platform';
import { Allow, Caller } from '../access/access.js';
import {
  DismissQueueMessageBody,
  QueueMessagePage,
  QueueMessagesQuery,
  QueueMessageView,
} from './queue-messages.dto.js';

/** Messages of queues that could not be followed: each waits for a person. */
@ApiTags('Marketplace')
@Controller('marketplace/queue-messages')
export class QueueMessagesController {
  constructor(private readonly queues: QueuesService) {}

  @Get()
  @Allow('read')
  @ApiOkResponse({ type: QueueMessagePage })
  list(@Caller() scope: Scope, @Query() { limit, cursor, ...filter }: QueueMessagesQuery) {
    return this.queues.list(scope, filter, given({ limit, cursor }));
  }

  /** Follows it now, when its product is registered or what was wrong is right. */
  @Post(':queueMessageId/retry')
  @HttpCode(200)
  @Allow('billing:write')
  @ApiOkResponse({ type: QueueMessageView })
  retry(@Caller() scope: Scope, @Param('queueMessageId') queueMessageId: string) {
    return this.queues.retry(scope, queueMessageId);
  }

  /** Settles one that is not to be followed. */
  @Post(':queueMessageId/dismiss')
  @HttpCode(200)
  @Allow('billing:write')
  @ApiOkResponse({ type: QueueMessageView })
  dismiss(
    @Caller() scope: Scope,
    @Param('queueMessageId') queueMessageId: string,
    @Body() { note }: DismissQueueMessageBody,
  ) {
    return this.queues.dismiss(scope, queueMessageId, note);
  }
}
