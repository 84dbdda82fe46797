/**
 * How long a PDF of an invoice of 100 lines takes, by the built code: the first, which begins its thread, and those after it. The reference is
 * pdfmake alone, in this thread and warm, laying out a plain table of the same texts. Alternating; medians of the rounds, in milliseconds.
 *
 * Run: npx tsx bench/pdf.ts   (ROUNDS, default 15; LINES, default 100)
 */
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import type { Price } from '@core/pricing';
import type * as BillingServices from '@io/billing';
import { build, entryOf } from '../scripts/build.mjs';
import { median } from './support/usage.js';

const ROUNDS = Number(process.env['ROUNDS'] ?? 15);
const LINES = Number(process.env['LINES'] ?? 100);

type Invoice = Parameters<typeof BillingServices.invoicePdf>[0];

const instant = (text: string) => new Date(`${text}T00:00:00Z`);
const VAT = { name: 'VAT', category: 'standard', ratePercent: '20' } as const;
const PRICE: Price = {
  model: 'graduated',
  tiers: [
    { upTo: '1000', unitAmount: '0.002', flatAmount: '0' },
    { upTo: null, unitAmount: '0.001', flatAmount: '0' },
  ],
};

/** A line of two tiers, with letters of several scripts. */
function aLine(n: number): Invoice['lines'][number] {
  const quantity = String(1_000 + n);
  const card = { rateCardId: 'rc_bench', rateCardVersion: 1, priceId: `price-${n}`, price: PRICE };
  return {
    id: `line_${n}`,
    description: `Calls of /pets/{petId}/visits/${n}: Ωmega, Žluťoučký kůň`,
    meter: 'calls',
    quantity,
    exactAmount: '2.001',
    amountMinor: 200n,
    rating: {
      ...card,
      meter: 'calls',
      quantity,
      units: quantity,
      tiers: [
        { upTo: '1000', quantity: '1000', unitAmount: '0.002', flatAmount: '0', amount: '2' },
        { upTo: null, quantity: String(n), unitAmount: '0.001', flatAmount: '0', amount: '0.001' },
      ],
      grossAmount: '2.001',
      exactAmount: '2.001',
      roundedMinor: '200',
    },
    source: null,
    discounts: [],
    tax: { ...VAT, isInclusive: false, grossMinor: null },
  };
}

function anInvoice(): Invoice {
  const net = BigInt(LINES) * 200n;
  const money = (minor: bigint) => ({ minor, currency: 'EUR' });
  const party = { name: 'Łódź Trading', legalName: null, address: 'Łódź\nPoland', taxId: null };
  return {
    id: 'inv_bench',
    accountId: 'acc_bench',
    customerId: 'cus_bench',
    subscriptionId: 'sub_bench',
    period: { from: instant('2026-10-01'), to: instant('2026-11-01') },
    timezone: 'Europe/Paris',
    revision: 1,
    status: 'finalised',
    number: 'TG-000001',
    currency: 'EUR',
    subtotalMinor: net,
    taxMinor: net / 5n,
    totalMinor: net + net / 5n,
    taxes: [{ ...VAT, reason: null, net: money(net), tax: money(net / 5n) }],
    paidMinor: 0n,
    creditedMinor: 0n,
    dueMinor: net + net / 5n,
    issuer: party,
    recipient: party,
    createdAt: instant('2026-11-01'),
    issuedAt: instant('2026-11-02'),
    dueAt: instant('2026-12-02'),
    collectsUntil: null,
    heldFor: null,
    approvedAt: null,
    approvedBy: null,
    lines: Array.from({ length: LINES }, (_, n) => aLine(n)),
  };
}

const require = createRequire(import.meta.url);

/** A plain table of the same texts, by pdfmake alone. */
function plainTable({ lines }: Invoice): () => Promise<Buffer> {
  const pdfmake = require('pdfmake') as {
    setFonts(fonts: object): void;
    setUrlAccessPolicy(mayFetch: () => boolean): void;
    setLocalAccessPolicy(mayRead: () => boolean): void;
    createPdf(document: object): { getBuffer(): Promise<Buffer> };
  };
  const fonts = join(dirname(require.resolve('pdfmake/package.json')), 'fonts/Roboto');
  pdfmake.setFonts({ Roboto: { normal: join(fonts, 'Roboto-Regular.ttf') } });
  pdfmake.setUrlAccessPolicy(() => false);
  pdfmake.setLocalAccessPolicy(() => true);
  const body = lines.map(({ description, quantity, exactAmount, amountMinor }) => [
    description,
    quantity,
    exactAmount,
    String(amountMinor),
  ]);
  return () => pdfmake.createPdf({ content: [{ table: { body } }] }).getBuffer();
}

async function timed<T>(work: () => Promise<T>): Promise<{ ms: number; made: T }> {
  const begun = performance.now();
  const made = await work();
  return { ms: performance.now() - begun, made };
}

await build();
const libs = join(entryOf('api'), '../../../../libs');
const { invoicePdf }: typeof BillingServices = await import(join(libs, 'billing/src/io/index.js'));
const invoice = anInvoice();
const reference = plainTable(invoice);
const first = await timed(() => invoicePdf(invoice));
await reference();
const [ours, theirs] = [new Array<number>(), new Array<number>()];
for (let round = 0; round < ROUNDS; round += 1) {
  const { ms, made } = await timed(() => invoicePdf(invoice));
  if (!made.equals(first.made)) throw new Error('The same invoice has other bytes.');
  ours.push(ms);
  theirs.push((await timed(reference)).ms);
}
console.log(
  `a PDF of ${LINES} lines: ${median(ours).toFixed(0)} ms, the first ${first.ms.toFixed(0)} ms; ` +
    `a plain table of them by pdfmake alone ${median(theirs).toFixed(0)} ms: ${(median(ours) / median(theirs)).toFixed(2)} of it`,
);
process.exit();
