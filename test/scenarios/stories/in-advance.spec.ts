import { Decimal, decimal } from '@core/kernel';
import { beforeAll, describe, expect, it } from 'vitest';
import { readCsv } from '../../../apps/cli/src/exports/read-csv.js';
import { expectBooksToBalance } from '../../support/books.js';
import { fee, perCall, startStories, type Stories } from '../../support/business.js';

let stories: Stories;
beforeAll(async () => {
  stories = await startStories();
});

const ahead = (amount: string) => fee(amount, { paymentTerm: 'in-advance' });
const JANUARY = '2027-01-01T00:00:00Z';

describe('a fee that is asked for in advance', () => {
  it('is invoiced at the start, and then with the usage of the month before', async () => {
    const shop = await stories.opens(JANUARY);
    const plan = await shop.sells('Basic', [ahead('20'), perCall('0.10')]);
    const ada = await shop.signsUp({ name: 'Ada' }, plan, { startsAt: JANUARY });
    await shop.worksOff();
    expect(await ada.bill(0)).toEqual([
      'Fee: 2027-01-01 to 2027-01-31, in advance = 20.00',
      'total = 20.00',
    ]);
    // What is paid for is the month, not the instant.
    expect(await ada.openPeriod()).toEqual(['2027-01-01T00:00', '2027-02-01T00:00']);

    await shop.itIs('2027-01-20T00:00:00Z');
    await ada.uses('5', '2027-01-20T00:00:00Z');
    await shop.itIs('2027-03-02T00:00:00Z');
    expect(await ada.bill(1)).toEqual([
      'Calls = 0.50',
      'Fee: 2027-02-01 to 2027-02-28, in advance = 20.00',
      'total = 20.50',
    ]);
    expect(await ada.bill(2)).toEqual([
      'Fee: 2027-03-01 to 2027-03-31, in advance = 20.00',
      'total = 20.00',
    ]);
    expect(await ada.invoices()).toHaveLength(3);
    // The same prices would have asked for the same, in each month and in both.
    const items = [ahead('20'), perCall('0.10')].map(({ id: _, ...item }) => item);
    for (const [from, to, billed] of [
      ['2027-01-01', '2027-02-01', '20.50'],
      ['2027-02-01', '2027-03-01', '20.00'],
      ['2027-01-01', '2027-03-01', '40.50'],
    ]) {
      const span = { from: `${from}T00:00:00Z`, to: `${to}T00:00:00Z` };
      const answer = await shop.call('POST', '/v1/what-if', { currency: 'USD', items, ...span });
      const [row] = readCsv(answer as unknown as string);
      expect(row).toMatchObject({ billed, whatIf: billed, difference: '0.00' });
    }
    await expectBooksToBalance(shop);
  });

  it('is corrected by what held in the end, after an upgrade within the month', async () => {
    const shop = await stories.opens('2027-02-01T00:00:00Z');
    const basic = await shop.sells('Basic', [ahead('28'), perCall('0.10')]);
    const pro = await shop.sells('Pro', [ahead('56'), perCall('0.05')]);
    const bob = await shop.signsUp({ name: 'Bob' }, basic, { startsAt: '2027-02-01T00:00:00Z' });
    await shop.itIs('2027-02-15T00:00:00Z');
    await bob.asksTo('changes', { ...pro, at: '2027-02-15T00:00:00Z' });
    await shop.itIs('2027-03-02T00:00:00Z');
    // 14 of 28 days by either: 14.00 of 28.00 are given back, 28.00 of 56.00 are asked for.
    expect(await bob.bill(1)).toEqual([
      'Fee: 2027-02-15 to 2027-02-28 = 28.00',
      'Fee: 2027-02-01 to 2027-02-14: difference to what was asked in advance = -14.00',
      'Fee: 2027-03-01 to 2027-03-31, in advance = 56.00',
      'total = 70.00',
    ]);
    // Each line says how it came about.
    const { id, lines } = await bob.invoice(1);
    for (const line of lines) {
      const { steps } = await shop.call('GET', `/v1/invoices/${id}/lines/${line.id}/explanation`);
      const amounts = (steps as { amount: string }[]).map(({ amount }) => decimal(amount));
      expect(
        Decimal.sum(0, ...amounts)
          .mul(100)
          .toFixed(),
      ).toBe(line.amount.minor);
    }
    await expectBooksToBalance(shop);
  });

  it('is given back for the days that are left, by who leaves', async () => {
    const shop = await stories.opens('2027-02-01T00:00:00Z');
    const plan = await shop.sells('Basic', [ahead('28')]);
    const eve = await shop.signsUp({ name: 'Eve' }, plan, { startsAt: '2027-02-01T00:00:00Z' });
    await shop.itIs('2027-02-15T00:00:00Z');
    await eve.asksTo('cancel', { at: 'now' });
    await shop.worksOff();
    // The last day counts: 15 of 28 days.
    expect(await eve.bill(1)).toEqual([
      'Fee: difference to what was asked in advance = -13.00',
      'total = -13.00',
    ]);
    await shop.itIs('2027-05-01T00:00:00Z');
    expect(await eve.invoices()).toHaveLength(2);
    await expectBooksToBalance(shop);
  });

  it('is not asked for again by an invoice that is made void and drafted anew', async () => {
    const shop = await stories.opens(JANUARY);
    const plan = await shop.sells('Basic', [ahead('20'), perCall('0.10')]);
    const ivy = await shop.signsUp({ name: 'Ivy' }, plan, { startsAt: JANUARY });
    await shop.itIs('2027-01-31T23:00:00Z');
    await ivy.uses('3', '2027-01-31T23:00:00Z');
    await shop.itIs('2027-02-03T00:00:00Z');
    const january = await ivy.with('finalise', undefined, await ivy.invoice(1));
    await ivy.with('void', { reason: 'wrong address' }, january);
    // February was asked for by a void invoice only.
    await shop.itIs('2027-03-02T00:00:00Z');
    expect(await ivy.bill()).toEqual([
      'Fee = 20.00',
      'Fee: 2027-03-01 to 2027-03-31, in advance = 20.00',
      'total = 40.00',
    ]);
    const again = await ivy.with('reissue', undefined, january);
    const { lines } = await ivy.with('finalise', undefined, again);
    expect(lines.map(({ description, amount }) => [description, amount.minor])).toEqual([
      ['Calls', '30'],
    ]);
    await expectBooksToBalance(shop);
  });

  it('is not asked for while somebody tries, and for the days after the trial with the month itself', async () => {
    const shop = await stories.opens(JANUARY);
    const plan = await shop.sells('Basic', [ahead('31')]);
    const terms = { startsAt: JANUARY, trialEndsAt: '2027-01-15T00:00:00Z' };
    const kim = await shop.signsUp({ name: 'Kim' }, plan, terms);
    await shop.itIs('2027-01-31T00:00:00Z');
    expect(await kim.invoices()).toEqual([]);
    await shop.itIs('2027-02-02T00:00:00Z');
    // 17 of 31 days.
    expect(await kim.bill(0)).toEqual([
      'Fee: 2027-01-15 to 2027-01-31 = 17.00',
      'Fee: 2027-02-01 to 2027-02-28, in advance = 31.00',
      'total = 48.00',
    ]);
    await expectBooksToBalance(shop);
  });

  it('of a start in the future is invoiced then, by the terms of then', async () => {
    const shop = await stories.opens(JANUARY);
    const plan = await shop.sells('Basic', [perCall('0.10')]);
    const other = await shop.sells('Other', [ahead('31'), perCall('0.10')]);
    const startsAt = '2027-01-15T00:00:00Z';
    const periodRule = {
      kind: 'anniversary',
      interval: 'month',
      anchor: '2027-01-15',
      timezone: 'UTC',
    };
    const max = await shop.signsUp({ name: 'Max' }, plan, { startsAt, periodRule });
    await max.asksTo('changes', { ...other, at: startsAt });
    expect(await max.invoices()).toEqual([]);
    await shop.itIs('2027-01-15T00:00:10Z');
    expect(await max.bill()).toEqual([
      'Fee: 2027-01-15 to 2027-02-14, in advance = 31.00',
      'total = 31.00',
    ]);
    await expectBooksToBalance(shop);
  });

  it('is earned when it is served, and stands in its own period', async () => {
    const shop = await stories.opens('2027-01-15T00:00:00Z');
    await shop.call('PATCH', '/v1/invoice-settings', { collectionHours: 0 });
    const plan = await shop.sells('Basic', [ahead('31')]);
    const day = { interval: 'month', timezone: 'UTC' };
    const periodRule = { kind: 'anniversary', anchor: '2027-01-15', ...day };
    const terms = { startsAt: '2027-01-15T00:00:00Z', periodRule };
    const zoe = await shop.signsUp({ name: 'Zoe' }, plan, terms);
    await shop.worksOff();
    await shop.itIs('2027-02-17T00:00:00Z');
    expect(await zoe.invoices()).toHaveLength(2);
    // 17 of 31 days in January; 14 of them and 14 of 28 in February.
    expect(await shop.table('deferred-revenue')).toMatchObject([
      { month: '2027-01', invoiced: '31.00', recognised: '17.00', closing: '14.00' },
      { month: '2027-02', invoiced: '31.00', recognised: '29.50', closing: '15.50' },
      { month: '2027-03', invoiced: '0.00', recognised: '15.50', closing: '0.00' },
    ]);
    expect(await shop.table('reconciliation')).toMatchObject([
      {
        periodFrom: '2027-01-15T00:00:00.000Z',
        item: 'fee',
        invoicedAmount: '31.00',
        amountDifference: '0.00',
        reasons: 'overdue',
      },
      {
        periodFrom: '2027-02-15T00:00:00.000Z',
        item: 'fee',
        invoicedAmount: '31.00',
        amountDifference: '0.00',
        reasons: 'not-due',
      },
    ]);
    await expectBooksToBalance(shop);
  });
});
