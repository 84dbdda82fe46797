import { Injectable } from '@nestjs/common';
import type { Scope } from '@core/identity';
import { SystemClock, type Given, type IfMatch } from '@io/platform';
import {
  InvoiceSettingsRepository,
  type InvoiceSettings,
  type InvoiceTerms,
} from './invoice-settings.repository.js';

/** How an account's drafts become final. */
@Injectable()
export class InvoiceSettingsService {
  constructor(
    private readonly settings: InvoiceSettingsRepository,
    private readonly clock: SystemClock,
  ) {}

  get(scope: Scope): Promise<InvoiceSettings> {
    return this.settings.get(scope);
  }

  update(
    scope: Scope,
    change: Given<Partial<InvoiceTerms>>,
    ifMatch: IfMatch,
  ): Promise<InvoiceSettings> {
    return this.settings.update(scope, change, { ifMatch, now: this.clock.now() });
  }
}
