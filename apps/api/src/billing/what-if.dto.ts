import type { WhatIfQuestion } from '@io/billing';
import { Currency, Id, Instant, JsonList } from '@io/platform';

/** Prices as a rate card has them, and the periods to rate again by them. */
export class WhatIfBody {
  @Currency()
  currency: string;

  @JsonList({
    min: 1,
    max: 200,
    example: [
      { meter: 'calls', description: 'Calls', price: { model: 'per-unit', unitAmount: '0.002' } },
    ],
    description: 'As the items of a rate card.',
  })
  items: object[];

  @Instant({ description: 'Invoices of periods that begin then or later.' })
  from: string;

  @Instant({ description: 'And that have ended by then.' })
  to: string;

  @Id({ optional: true, description: 'All customers when left out.' })
  customerId?: string;
}

/** The question that a body asks. */
export function readWhatIf({ from, to, customerId, ...prices }: WhatIfBody): WhatIfQuestion {
  const span = { from: new Date(from), to: new Date(to) };
  return { ...prices, span, ...(customerId !== undefined && { customerId }) };
}
