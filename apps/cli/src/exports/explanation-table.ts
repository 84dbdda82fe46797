/** What `GET /v1/invoices/{id}/lines/{lineId}/explanation` answers, as far as it is shown. */
export interface Explanation {
  readonly invoiceId: string;
  readonly invoiceNumber: string | null;
  readonly line: {
    readonly description: string;
    readonly quantity: string;
    readonly amount: { readonly amount: string; readonly currency: string };
    readonly source: { readonly kind: string; readonly reason?: string } | null;
  };
  readonly rating: {
    readonly rateCardId: string;
    readonly rateCardVersion: number;
    readonly priceId: string;
    readonly price: { readonly model: string };
    readonly tiers: readonly {
      readonly upTo: string | null;
      readonly quantity: string;
      readonly amount: string;
    }[];
  } | null;
  readonly units: Readonly<Record<'metered' | 'converted' | 'included' | 'charged', string>> | null;
  readonly steps: readonly { readonly step: string; readonly amount: string }[];
  readonly usage: {
    readonly meter: string;
    readonly timezone: string;
    readonly billed: string;
    readonly counted: string;
    readonly changedSince: string;
    readonly days: readonly { readonly from: string; readonly quantity: string }[];
  } | null;
  readonly credits: readonly {
    readonly number: string;
    readonly reason: string;
    readonly amount: { readonly amount: string };
  }[];
}

/** An explanation as tables, each with the sum of what stands above it. */
export function explanationTable(explanation: Explanation): string {
  const { invoiceId, invoiceNumber, line, rating, units, steps, usage, credits } = explanation;
  const { amount, currency } = line.amount;
  const reason = line.source?.reason;
  return [
    `${line.description}: ${amount} ${currency} on ${invoiceNumber ?? `draft ${invoiceId}`}`,
    ...(rating
      ? [
          `${rating.price.model}, ${rating.priceId} of ${rating.rateCardId} version ${rating.rateCardVersion}`,
        ]
      : []),
    ...(reason === undefined ? [] : [reason]),
    ...(usage
      ? table(`day (${usage.timezone})`, usage.meter, [
          ...usage.days.map(
            ({ from, quantity }) => [dayOf(from, usage.timezone), quantity] as const,
          ),
          ['counted now', usage.counted],
          ...(usage.changedSince === '0' ? [] : [['changed since', usage.changedSince] as const]),
          ['billed', usage.billed],
        ])
      : []),
    ...(units
      ? table('units', '', [
          ['metered', units.metered],
          ['converted', units.converted],
          ['included', units.included],
          ['charged', units.charged],
        ])
      : []),
    ...(rating && rating.tiers.length > 0
      ? table(
          'tier',
          currency,
          rating.tiers.map(({ upTo, quantity, amount: of }) => [
            `${quantity} ${upTo === null ? 'of the last' : `up to ${upTo}`}`,
            of,
          ]),
        )
      : []),
    ...table('step', currency, [
      ...steps.map(({ step, amount: of }) => [step, of] as const),
      ['amount of the line', amount],
    ]),
    ...(credits.length > 0
      ? table(
          'credited since',
          currency,
          credits.map(({ number, reason: why, amount: of }) => [`${number} ${why}`, of.amount]),
        )
      : []),
  ].join('\n');
}

/** A table of two columns, after an empty line. */
function table(
  left: string,
  right: string,
  rows: readonly (readonly [string, string])[],
): string[] {
  const all = [[left, right] as const, ...rows];
  const [width, other] = [0, 1].map((at) => Math.max(...all.map((row) => row[at]?.length ?? 0)));
  return [
    '',
    ...all.map(([name, value]) =>
      `${name.padEnd(width ?? 0)}  ${value.padStart(other ?? 0)}`.trimEnd(),
    ),
  ];
}

/** The local date of an instant. */
function dayOf(instant: string, timeZone: string): string {
  return new Intl.DateTimeFormat('en-CA', { timeZone, dateStyle: 'short' }).format(
    new Date(instant),
  );
}
