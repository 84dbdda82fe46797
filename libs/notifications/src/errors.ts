import { DomainError } from '@core/kernel';

/** A recipient or subject that would write other lines of an e-mail's header. */
export class UnsafeHeader extends DomainError {
  readonly code = 'unsafe-email-header';
  readonly kind = 'invalid';
  readonly facts: { readonly header: 'recipient' | 'subject' };

  constructor(header: 'recipient' | 'subject') {
    super(
      `The ${header} of an e-mail must be one line${header === 'recipient' ? ' with one address' : ''}.`,
    );
    this.facts = { header };
  }
}

/** An endpoint that is disabled takes nothing, not even a test. */
export class WebhookEndpointDisabled extends DomainError {
  readonly code = 'webhook-endpoint-disabled';
  readonly kind = 'conflict';
  readonly facts: { readonly endpointId: string };

  constructor(endpointId: string) {
    super(`The webhook endpoint "${endpointId}" is disabled: enable it first.`);
    this.facts = { endpointId };
  }
}

/** An account has as many webhook endpoints as it may. */
export class TooManyWebhookEndpoints extends DomainError {
  readonly code = 'too-many-webhook-endpoints';
  readonly kind = 'conflict';
  readonly facts: { readonly endpointsMax: number };

  constructor(endpointsMax: number) {
    super(`An account has at most ${endpointsMax} webhook endpoints.`);
    this.facts = { endpointsMax };
  }
}
