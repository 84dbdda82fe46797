import type { ChangeInstant } from '@io/billing';
import {
  Flag,
  Id,
  Instant,
  Int,
  InvalidRequest,
  JsonList,
  JsonObject,
  Nested,
  parseInstant,
  Text,
} from '@io/platform';
import { PeriodPreviewView } from './invoices.dto.js';

const AT = 'When it takes effect: `now`, `period-end`, or an instant that was not invoiced yet.';
const NOW = 'Now, by the account’s clock, when left out.';

export class ChangeSubscriptionBody {
  @Text({ max: 40, optional: true, description: `${AT} ${NOW}` })
  at?: string;

  @Id({ optional: true, description: "The customer's keys move there with it." })
  usagePlanId?: string;

  @Text({ max: 100, optional: true, description: 'The id of a rate card, or its name.' })
  rateCardId?: string;

  @Int({
    min: 1,
    max: 1_000_000,
    optional: true,
    description: 'Of the card it has when no card is sent; else the newest when left out.',
  })
  rateCardVersion?: number;

  @JsonList({
    max: 200,
    optional: true,
    description:
      'Prices of the customer’s own: `[{ priceId, price }]`. All of them; `[]` takes them back.',
  })
  priceOverrides?: object[];

  @JsonList({
    max: 100,
    optional: true,
    description: 'Prices with a quantity: `[{ id, description, price, quantity }]`. All of them.',
  })
  addOns?: object[];

  @JsonObject({ optional: true, description: 'With `period-end` only.' })
  periodRule?: object;
}

export class PauseSubscriptionBody {
  @Text({ max: 40, optional: true, description: `${AT} ${NOW}` })
  at?: string;

  @Instant({ optional: true, description: 'When it resumes by itself.' })
  until?: string;
}

export class ResumeSubscriptionBody {
  @Text({ max: 40, optional: true, description: `${AT} ${NOW}` })
  at?: string;
}

export class CancelSubscriptionBody {
  @Text({ max: 40, optional: true, description: `${AT} With the period's end when left out.` })
  at?: string;
}

export class ChangePreviewView {
  @Instant({ description: 'When the change would take effect.' })
  at: string;

  @Flag({ description: 'False when nothing would be different.' })
  isChange: boolean;

  @Nested(() => PeriodPreviewView, {
    description:
      'The invoice of the period that the change falls into, by what was used of it so far.',
  })
  before: PeriodPreviewView;

  @Nested(() => PeriodPreviewView, { description: 'The same with the change.' })
  after: PeriodPreviewView;
}

/** Reads when an act takes effect. */
export function readChangeInstant(at: string | undefined, absent: ChangeInstant): ChangeInstant {
  if (at === undefined) return absent;
  if (at === 'now' || at === 'period-end') return at;
  const instant = parseInstant(at);
  if (instant) return instant;
  const detail = 'must be "now", "period-end" or an instant, such as "2026-01-31T14:05:00Z"';
  throw new InvalidRequest([{ pointer: '/at', detail }]);
}
