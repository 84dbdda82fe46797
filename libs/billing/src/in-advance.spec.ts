import { decimal } from '@core/kernel';
import type { Price } from '@core/pricing';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { draftOfParts, type InvoiceDraft } from './draft-invoice.js';
import { advanceAdjustments, partsInAdvance, settledDraft } from './in-advance.js';
import { chargeKey, type BilledPart, type RatingSnapshot } from './price-lines.js';

const SUBSCRIPTION = { id: 'sub_1', customerId: 'cus_1', currency: 'USD' };
const PERIOD = { from: new Date('2027-02-01T00:00:00Z'), to: new Date('2027-03-01T00:00:00Z') };
const CALLS = { id: 'calls', meter: 'calls', description: 'Calls' };
const DAYS = 28;

const ahead = (amount: string): Price => ({ model: 'flat', amount, paymentTerm: 'in-advance' });
const dayOf = (day: number) => new Date(PERIOD.from.getTime() + day * 86_400_000);

/** Days of February by a fee of each plan, with a call on each of them. */
function part(fee: string, from: number, to: number, of: Partial<BilledPart> = {}): BilledPart {
  return {
    period: { from: dayOf(from), to: dayOf(to) },
    usagePlanId: `plan ${fee}`,
    rateCard: {
      id: `card ${fee}`,
      version: 1,
      currency: 'USD',
      prices: [
        { id: 'fee', meter: null, description: 'Fee', price: ahead(fee) },
        { ...CALLS, price: { model: 'per-unit', unitAmount: '0.01' } },
      ],
    },
    addOns: [],
    isCharged: true,
    share: to - from === DAYS ? null : { used: to - from, of: DAYS },
    usage: [{ meter: 'calls', protocol: null, quantity: decimal(to - from) }],
    ...of,
  };
}

const draftOf = (parts: readonly BilledPart[]) =>
  draftOfParts({ subscription: SUBSCRIPTION, period: PERIOD, parts, timezone: 'UTC' });

/** What an invoice asked for February before it began, and the draft of February itself. */
function settled(planned: readonly BilledPart[], held: readonly BilledPart[]) {
  const none = { period: PERIOD, invoiceId: null, invoiceNumber: null, inAdvance: new Map() };
  const asked = advanceAdjustments(draftOf(partsInAdvance(planned)), {
    ...none,
    billed: new Map(),
  });
  const billed = new Map<string, bigint>();
  const inAdvance = new Map<string, RatingSnapshot>();
  for (const { amount, source } of asked) {
    if (!source || !('rating' in source)) continue;
    const key = chargeKey(source.rating, source.periodFrom);
    billed.set(key, amount.minor);
    inAdvance.set(key, source.rating);
  }
  const before = asked.reduce((sum, { amount }) => sum + amount.minor, 0n);
  return { asked, before, draft: settledDraft(draftOf(held), { ...none, billed, inAdvance }) };
}

const texts = ({ lines }: InvoiceDraft) =>
  lines.map(({ description, amount }) => `${description} = ${amount.minor}`);

describe('what is asked for in advance', () => {
  it('is fees only, for the whole period', () => {
    const { asked, draft } = settled([part('28', 0, DAYS)], [part('28', 0, DAYS)]);
    expect(asked.map(({ description, amount }) => [description, amount.minor])).toEqual([
      ['Fee: 2027-02-01 to 2027-02-28, in advance', 2_800n],
    ]);
    expect(texts(draft)).toEqual(['Calls = 28']);
  });

  it.each([
    {
      why: 'an upgrade in the middle',
      held: [part('28', 0, 14), part('56', 14, DAYS)],
      lines: [
        'Calls: 2027-02-01 to 2027-02-14 = 14',
        'Fee: 2027-02-15 to 2027-02-28 = 2800',
        'Calls: 2027-02-15 to 2027-02-28 = 14',
        'Fee: 2027-02-01 to 2027-02-14: difference to what was asked in advance = -1400',
      ],
    },
    {
      why: 'another plan from the start',
      held: [part('56', 0, DAYS)],
      lines: ['Calls = 28', 'Fee: difference to what was asked in advance = 2800'],
    },
    {
      why: 'a pause throughout',
      held: [part('28', 0, DAYS, { isCharged: false })],
      lines: ['Asked in advance for 2027-02-01 to 2027-02-28, taken back = -2800'],
    },
  ])('is corrected after $why', ({ held, lines }) => {
    expect(texts(settled([part('28', 0, DAYS)], held).draft)).toEqual(lines);
  });

  it('does not reach beyond a trial or a pause', () => {
    const trial = part('28', 0, 7, { isCharged: false });
    expect(settled([trial, part('28', 7, DAYS)], []).asked).toEqual([]);
    const paused = part('28', 14, 21, { isCharged: false });
    const { asked } = settled([part('28', 0, 14), paused, part('28', 21, DAYS)], []);
    expect(asked.map(({ amount }) => amount.minor)).toEqual([1_400n]);
  });

  it('and what the period asks for later are together what it costs, whatever was planned and whatever held', () => {
    const fees = fc.constantFrom('0', '28', '56', '10.01');
    const cuts = fc.uniqueArray(fc.integer({ min: 1, max: DAYS - 1 }), { maxLength: 3 });
    const kinds = fc.constantFrom(true, true, false);
    const timelines = fc
      .tuple(cuts, fc.array(fc.tuple(fees, kinds), { minLength: 4, maxLength: 4 }))
      .map(([days, terms]) => {
        const starts = [0, ...days.toSorted((a, b) => a - b)];
        return starts.map((from, index) => {
          const [fee, isCharged] = terms[index] ?? ['0', true];
          return part(fee, from, starts[index + 1] ?? DAYS, { isCharged });
        });
      });
    fc.assert(
      fc.property(timelines, timelines, (planned, held) => {
        const { before, draft } = settled(planned, held);
        const whole = draftOf(held).subtotal.minor;
        expect(before + draft.subtotal.minor).toBe(whole);
        const sum = draft.lines.reduce((total, { amount }) => total + amount.minor, 0n);
        expect(draft.subtotal.minor).toBe(sum);
      }),
    );
  });
});
