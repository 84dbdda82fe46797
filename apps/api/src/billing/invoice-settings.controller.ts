import { Body, Controller, Get, Patch } from '@nestjs/common';
import { ApiOkResponse } from '@nestjs/swagger';
import type { Scope } from '@core/identity';
import { InvoiceSettingsService } from '@io/billing';
import { given, type IfMatch as EntityTags } from '@io/platform';
import { Allow, Caller } from '../access/access.js';
import { IfMatch } from '../http/entity-tag.js';
import { InvoiceSettingsView, UpdateInvoiceSettingsBody } from './invoice-settings.dto.js';

/** How the account's drafts become final. */
@Controller('invoice-settings')
export class InvoiceSettingsController {
  constructor(private readonly settings: InvoiceSettingsService) {}

  @Get()
  @Allow('read')
  @ApiOkResponse({ type: InvoiceSettingsView })
  get(@Caller() scope: Scope) {
    return this.settings.get(scope);
  }

  @Patch()
  @Allow('billing:write')
  @ApiOkResponse({ type: InvoiceSettingsView })
  update(
    @Caller() scope: Scope,
    @Body() body: UpdateInvoiceSettingsBody,
    @IfMatch() ifMatch: EntityTags,
  ) {
    return this.settings.update(scope, given(body), ifMatch);
  }
}
