/**
 * What it costs to rate one line: a quantity through a graduated price of five tiers, what each tier asks, and the one rounding to cents.
 * The reference is the same arithmetic in plain numbers, which is not exact, in the same run. Times are of the process's CPU, medians.
 * Quantities end in each of the five tiers alike. Also with a price whose numbers are read anew for each line.
 *
 * Run: npx tsx bench/rate-line.ts   (ROUNDS, default 7; LINES, default 200000)
 */
import { decimal, toMoney, type Decimal } from '@core/kernel';
import { priceAmount, rateOf, type Price, type PricedUse } from '@core/pricing';

const ROUNDS = Number(process.env['ROUNDS'] ?? 7);
const LINES = Number(process.env['LINES'] ?? 200_000);

const TIERS = [
  { upTo: '1000000', unitAmount: '0.0000035', flatAmount: '0' },
  { upTo: '333000000', unitAmount: '0.0000028' },
  { upTo: '1000000000', unitAmount: '0.00000238' },
  { upTo: '20000000000', unitAmount: '0.00000151' },
  { upTo: null, unitAmount: '0.0000012' },
];
const PRICE: Price = { model: 'graduated', tiers: TIERS };
const NUMBERS = TIERS.map(({ upTo, unitAmount, flatAmount = '0' }) => ({
  upTo: upTo === null ? Infinity : Number(upTo),
  unitAmount: Number(unitAmount),
  flatAmount: Number(flatAmount),
}));

const WITHIN_TIERS = [500_000, 100_000_000, 700_000_000, 5_000_000_000, 30_000_000_000];
const QUANTITIES = Array.from({ length: 200 }, (_, n) =>
  WITHIN_TIERS.map((quantity) => quantity + n * 97),
).flat();
const DECIMALS = QUANTITIES.map((quantity) => decimal(quantity));

/** Rates the lines and adds up their cents, so that nothing can be left out as unused. */
function exactLines(rate: (use: PricedUse) => { readonly amount: Decimal }): bigint {
  let sum = 0n;
  for (let rated = 0; rated < LINES; rated += DECIMALS.length) {
    for (const quantity of DECIMALS) sum += toMoney(rate({ quantity }).amount, 'USD').minor;
  }
  return sum;
}

function plainLines(): bigint {
  let sum = 0;
  for (let rated = 0; rated < LINES; rated += QUANTITIES.length) {
    for (const quantity of QUANTITIES) sum += Math.round(plainAmount(quantity) * 100);
  }
  return BigInt(sum);
}

function plainAmount(quantity: number): number {
  const tiers: { quantity: number; amount: number }[] = [];
  let start = 0;
  let amount = 0;
  for (const { upTo, unitAmount, flatAmount } of NUMBERS) {
    if (tiers.length > 0 && quantity <= start) break;
    const units = Math.min(quantity, upTo) - start;
    tiers.push({ quantity: units, amount: units * unitAmount + flatAmount });
    amount += units * unitAmount + flatAmount;
    start = upTo;
  }
  return amount;
}

const LAST_LINE = { isFinal: true };
const rate = rateOf(PRICE);
const readOnce = () => exactLines((use) => rate(use, LAST_LINE));
const readAnew = () => exactLines((use) => priceAmount(PRICE, use, LAST_LINE));

function perSecond(lines: () => bigint): number {
  const before = process.cpuUsage();
  lines();
  const { user, system } = process.cpuUsage(before);
  return (LINES / (user + system)) * 1e6;
}

const median = (figures: readonly number[]) =>
  figures.toSorted((a, b) => a - b)[Math.floor(figures.length / 2)] ?? NaN;
const shown = (figure: number) => Math.round(figure).toLocaleString('en');

const [exact, plain] = [readOnce(), plainLines()];
console.log(`The two differ by ${exact - plain} cents in ${exact}.`);
const rounds = Array.from({ length: ROUNDS }, () => ({
  once: perSecond(readOnce),
  anew: perSecond(readAnew),
  plain: perSecond(plainLines),
}));
const once = median(rounds.map((round) => round.once));
const anew = median(rounds.map((round) => round.anew));
const reference = median(rounds.map((round) => round.plain));
const ratio = median(rounds.map((round) => round.once / round.plain));
console.log(
  `rate-line: ${shown(once)} lines/s of a price that was read once, ${shown(anew)} of one that is read anew for each; ` +
    `${shown(reference)} in plain numbers, ratio ${ratio.toFixed(3)}`,
);
