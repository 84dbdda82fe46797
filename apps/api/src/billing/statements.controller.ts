import { Readable } from 'node:stream';
import { Controller, Get, Param, StreamableFile } from '@nestjs/common';
import { ApiOkResponse, ApiProduces, ApiTags } from '@nestjs/swagger';
import type { Scope } from '@core/identity';
import { StatementsService } from '@io/billing';
import { AllowCustomersToo, Caller, Public } from '../access/access.js';
import { StatementKeysView } from './statements.dto.js';

/** Usage statements that whoever is billed can verify. */
@ApiTags('Invoices')
@Controller()
export class StatementsController {
  constructor(private readonly statements: StatementsService) {}

  /** The hours behind a final invoice, as JSON lines that are linked by their hashes and signed (`docs/invoices.md`). */
  @Get('invoices/:id/statement')
  @AllowCustomersToo('read')
  @ApiProduces('application/jsonl')
  @ApiOkResponse({ schema: { type: 'string' } })
  async statement(@Caller() scope: Scope, @Param('id') id: string): Promise<StreamableFile> {
    const { invoice, lines } = await this.statements.statement(scope, id);
    return new StreamableFile(Readable.from(lines, { objectMode: false }), {
      type: 'application/jsonl',
      disposition: `attachment; filename="statement-${invoice.number ?? id}.jsonl"`,
    });
  }

  /** The public keys that statements were ever signed with, as a JSON Web Key Set. For everybody. */
  @Get('statement-keys')
  @Public()
  @ApiOkResponse({ type: StatementKeysView })
  async keys(): Promise<StatementKeysView> {
    const keys = await this.statements.verificationKeys();
    return { keys: keys.map((key) => ({ ...key, use: 'sig', alg: 'EdDSA' })) };
  }
}
