import type { InvoiceDraft, MeteredUsage } from '@core/billing';
import { decimal } from '@core/kernel';
import type { RateCardVersion, StoredRateCard } from '@io/billing';
import {
  InvalidRequest,
  Currency,
  Id,
  Instant,
  Int,
  JsonList,
  JsonObject,
  ListOf,
  Nested,
  Quantity,
  Text,
} from '@io/platform';
import { MoneyView, moneyView } from './money.dto.js';

const ITEM = {
  id: 'calls/REST',
  meter: 'calls',
  protocol: 'REST',
  description: 'REST API calls',
  price: { model: 'per-unit', unitAmount: '0.0000035' },
};

export class CreateRateCardBody {
  @Text({ max: 100 })
  name: string;

  @Currency()
  currency: string;

  @JsonList({
    min: 1,
    max: 200,
    example: [ITEM],
    description:
      'One line on each invoice. `meter` is null for a flat fee; `protocol` takes only usage through such apis; `id` is made when left out. One flat item may have `isCommitment: true`: a minimum for all prices together, whose line is what is missing to it.',
  })
  items: object[];
}

export class AddRateCardVersionBody {
  @JsonList({ min: 1, max: 200, example: [ITEM] })
  items: object[];
}

export class QuoteBody {
  @Int({ min: 1, max: 1_000_000, optional: true, description: 'The newest when left out.' })
  version?: number;

  @JsonObject({
    example: { 'calls/REST': '333000000', 'bytes-out': '1073741824' },
    description: 'Quantities of a period by meter, or by meter and protocol.',
  })
  usage: object;
}

export class RateCardVersionView {
  @Int({ min: 1, max: 1_000_000 })
  version: number;

  @Currency()
  currency: string;

  @JsonList({ max: 200, example: [ITEM] })
  items: object[];

  @Instant()
  createdAt: string;
}

export class RateCardView {
  @Id({ example: 'rc_7Qm2nWcN5vX1pR8sT3yB' })
  id: string;

  @Text({ max: 100 })
  name: string;

  @Currency()
  currency: string;

  @Int({ min: 1, max: 1_000_000, description: 'The newest.' })
  version: number;

  @JsonList({ max: 200, description: 'Of the newest version.', example: [ITEM] })
  items: object[];

  @Instant()
  createdAt: string;
}

export class RateCardWithVersionsView extends RateCardView {
  @ListOf(() => RateCardVersionView, { max: 1_000_000, description: 'The newest first.' })
  versions: RateCardVersionView[];
}

export class RateCardListView {
  @ListOf(() => RateCardView, { max: 500 })
  items: RateCardView[];

  @Text({ optional: true, max: 500 })
  next?: string;
}

export class QuoteLineView {
  @Text({ max: 100 })
  itemId: string;

  @Text({ max: 200 })
  description: string;

  @Text({ max: 64, nullable: true })
  meter: string | null;

  @Text({ optional: true, max: 16 })
  protocol?: string;

  @Quantity()
  quantity: string;

  @Text({ max: 200, description: 'Exact, in major units, before the one rounding.' })
  exactAmount: string;

  @Nested(() => MoneyView)
  amount: MoneyView;

  @JsonList({ max: 100, description: 'The tiers that the quantity enters.' })
  tiers: object[];
}

/** Usage that no price of the card names: counted and not charged. */
export class UnpricedView {
  @Text({ max: 64 })
  meter: string;

  @Text({ max: 16, nullable: true })
  protocol: string | null;

  @Quantity()
  quantity: string;
}

export class QuoteView {
  @ListOf(() => QuoteLineView, { max: 200 })
  lines: QuoteLineView[];

  @Nested(() => MoneyView)
  total: MoneyView;

  @ListOf(() => UnpricedView, { max: 1_000 })
  unpriced: UnpricedView[];
}

const METER_AND_PROTOCOL = /^([a-z0-9][a-z0-9.-]{0,63})(?:\/(REST|HTTP|WEBSOCKET))?$/;
const QUANTITY = /^(0|[1-9]\d{0,25})(\.\d{1,12})?$/;

/** Reads `{ "calls/REST": "333000000" }`; throws `InvalidRequest` naming each faulty member. */
export function readUsage(usage: object): MeteredUsage[] {
  const entries = Object.entries(usage).map(([name, quantity]: [string, unknown]) => {
    const [, meter, protocol] = METER_AND_PROTOCOL.exec(name) ?? [];
    const isQuantity = typeof quantity === 'string' && QUANTITY.test(quantity);
    return { name, meter, protocol, quantity: isQuantity ? decimal(quantity) : undefined };
  });
  const faults = entries
    .filter(({ meter, quantity }) => meter === undefined || quantity === undefined)
    .map(({ name, meter }) => ({
      pointer: `/usage/${name.slice(0, 100).replaceAll('~', '~0').replaceAll('/', '~1')}`,
      detail:
        meter === undefined
          ? 'must be a meter, or a meter and REST, HTTP or WEBSOCKET behind a slash'
          : 'must be a decimal in a string, such as "12" or "0.5"',
    }));
  if (faults.length > 0) throw new InvalidRequest(faults);
  return entries.flatMap(({ meter, protocol, quantity }) =>
    meter !== undefined && quantity !== undefined
      ? [{ meter, protocol: (protocol ?? null) as MeteredUsage['protocol'], quantity }]
      : [],
  );
}

/** A rate card without its older versions. */
export function rateCardView({ id, name, createdAt, versions }: StoredRateCard): RateCardView {
  const [{ currency, version, items }] = versions;
  return { id, name, currency, version, items: [...items], createdAt: createdAt.toISOString() };
}

/** A rate card with all its versions. */
export function rateCardWithVersionsView(card: StoredRateCard): RateCardWithVersionsView {
  const view = { versions: card.versions.map(versionView) };
  return Object.assign(view, rateCardView(card));
}

function versionView({
  version,
  currency,
  items,
  createdAt,
}: RateCardVersion): RateCardVersionView {
  return { version, currency, items: [...items], createdAt: createdAt.toISOString() };
}

/** What a quote answers. */
export function quoteView({ lines, total, unpriced }: InvoiceDraft): QuoteView {
  return {
    lines: lines.flatMap((line) => (line.kind === 'price' ? [quoteLineView(line)] : [])),
    total: moneyView(total),
    unpriced: unpriced.map(({ quantity, ...rest }) => ({ ...rest, quantity: quantity.toFixed() })),
  };
}

function quoteLineView(
  line: Extract<InvoiceDraft['lines'][number], { kind: 'price' }>,
): QuoteLineView {
  const { priceId, meter, protocol, quantity, exactAmount, tiers } = line.rating;
  return {
    itemId: priceId,
    description: line.description,
    meter,
    ...(protocol && { protocol }),
    quantity,
    exactAmount,
    amount: moneyView(line.amount),
    tiers: [...tiers],
  };
}
