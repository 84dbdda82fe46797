import { Readable } from 'node:stream';
import { Body, Controller, HttpCode, Post, Res, StreamableFile } from '@nestjs/common';
import { ApiOkResponse, ApiProduces } from '@nestjs/swagger';
import type { FastifyReply } from 'fastify';
import type { Scope } from '@core/identity';
import { whatIfCsv, WhatIfService } from '@io/billing';
import { Allow, Caller } from '../access/access.js';
import { readWhatIf, WhatIfBody } from './what-if.dto.js';

/** What other prices would have made of invoices that were made. Stores nothing. */
@Controller('what-if')
@Allow('read')
export class WhatIfController {
  constructor(private readonly whatIfs: WhatIfService) {}

  /** A row for each customer, sent as soon as it is known; `X-Total-Count` says how many there will be. */
  @Post()
  @HttpCode(200)
  @ApiProduces('text/csv')
  @ApiOkResponse({
    schema: { type: 'string' },
    headers: {
      'X-Total-Count': {
        description: 'How many rows follow the first line.',
        schema: { type: 'integer' },
      },
    },
  })
  async compare(
    @Caller() scope: Scope,
    @Body() body: WhatIfBody,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<StreamableFile> {
    const { customers, rows } = await this.whatIfs.compare(scope, readWhatIf(body));
    reply.header('x-total-count', customers);
    return new StreamableFile(Readable.from(whatIfCsv(rows), { objectMode: false }), {
      type: 'text/csv; charset=utf-8',
      disposition: 'attachment; filename="what-if.csv"',
    });
  }
}
