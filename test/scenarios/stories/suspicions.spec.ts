import { beforeAll, describe, expect, it } from 'vitest';
import { expectBooksToBalance } from '../../support/books.js';
import { calls, fee, perCall, startStories, type Stories } from '../../support/business.js';

let stories: Stories;
beforeAll(async () => {
  stories = await startStories();
});

const VAT = { name: 'VAT', category: 'standard', ratePercent: '19' };
const JUNE_ENDS = ['2027-07-01T00:00:01Z', '2027-07-02T00:00:02Z'];
const JULY_ENDS = ['2027-08-01T00:00:01Z', '2027-08-02T00:00:02Z'];

describe('somebody who upgrades in the morning and is back in the afternoon', () => {
  it('pays one fee for the month, and each call by the price that held', async () => {
    const shop = await stories.opens('2027-06-01T00:00:00Z');
    const slow = await shop.sells('Slow', [fee('30'), perCall('0.01')]);
    const fast = await shop.sells('Fast', [fee('60'), perCall('0.05')]);
    const joe = await shop.signsUp({ name: 'Joe' }, slow);
    await shop.itIs('2027-06-16T10:00:00Z');
    await joe.uses('100', '2027-06-16T09:59:59Z');
    await joe.asksTo('changes', { ...fast, at: '2027-06-16T10:00:00Z' });
    await shop.itIs('2027-06-16T15:00:00Z');
    await joe.uses('100', '2027-06-16T14:59:59Z');
    await joe.asksTo('changes', { ...slow, at: '2027-06-16T15:00:00Z' });
    await joe.uses('100', '2027-06-16T15:00:00Z');
    await shop.itIs('2027-07-01T00:00:01Z');
    // The day belongs to what held last of it.
    expect(await joe.bill()).toEqual([
      'Fee: 2027-06-01 to 2027-06-16, 2027-06-16 to 2027-06-30 = 30.00',
      'Calls: 2027-06-01 to 2027-06-16, 2027-06-16 to 2027-06-30 = 2.00',
      'Calls: 2027-06-16 to 2027-06-16 = 5.00',
      'total = 37.00',
    ]);
    await expectBooksToBalance(shop);
  });
});

describe('late usage at prices that contain their tax', () => {
  it('is charged at its price, not at the difference to a net; a credit note takes back all of the other', async () => {
    const shop = await stories.opens('2027-06-01T00:00:00Z');
    await shop.call('POST', '/v1/tax-rules', { ...VAT, isInclusive: true });
    const plan = await shop.sells('Basic', [fee('11.90'), perCall('0.01')]);
    const tim = await shop.signsUp({ name: 'Tim' }, plan);
    await shop.itIs('2027-06-20T00:00:00Z');
    await tim.uses('100', '2027-06-20T00:00:00Z');
    for (const now of JUNE_ENDS) await shop.itIs(now);
    // 12.90 × 19/119 = 2.0597.
    const said = (what: string) => [
      'Fee = 10.00',
      `${what} = 0.84`,
      'VAT 19 % of 10.84 = 2.06',
      'total = 12.90',
    ];
    expect(await tim.bill()).toEqual(said('Calls'));
    const june = await tim.invoice();
    await tim.uses('100', '2027-06-21T00:00:00Z');
    for (const now of JULY_ENDS) await shop.itIs(now);
    expect(await tim.bill()).toEqual(said('Calls: adjustment for 2027-06-01 to 2027-06-30'));
    await shop.call('POST', `/v1/invoices/${june.id}/credit-notes`, { reason: 'Outage' });
    expect(await tim.ledger()).toEqual({
      receivable: '12.90',
      revenue: '-10.84',
      'tax-payable': '-2.06',
    });
    await expectBooksToBalance(shop);
  });
});

describe('credit against an invoice with tax', () => {
  it('pays before the tax, and comes back whole with a credit note', async () => {
    const shop = await stories.opens('2027-06-01T00:00:00Z');
    await shop.call('POST', '/v1/tax-rules', VAT);
    const plan = await shop.sells('Basic', [fee('100')]);
    const amy = await shop.signsUp({ name: 'Amy' }, plan);
    const credit = await amy.isGranted('50');
    for (const now of JUNE_ENDS) await shop.itIs(now);
    expect(await amy.bill()).toEqual([
      'Fee = 100.00',
      'Top-up (credit, before tax) = -50.00',
      'VAT 19 % of 50.00 = 9.50',
      'total = 59.50',
    ]);
    expect(await amy.creditLeft(credit)).toBe('0.00');
    const { id } = await amy.invoice();
    const note = await shop.call('POST', `/v1/invoices/${id}/credit-notes`, { reason: 'Outage' });
    expect(note['total'].amount).toBe('59.50');
    expect(await amy.creditLeft(credit)).toBe('50.00');
    expect(await amy.ledger()).toEqual({ cash: '50.00', 'prepaid-credit': '-50.00' });
    await expectBooksToBalance(shop);
  });
});

describe('late usage of somebody who paid a minimum', () => {
  it('is within the minimum until that is reached, and is charged above it', async () => {
    const shop = await stories.opens('2027-06-01T00:00:00Z');
    const plan = await shop.sells('Basic', [perCall('0.01', { minimumAmount: '28' })]);
    const lou = await shop.signsUp({ name: 'Lou' }, plan);
    await shop.itIs('2027-06-20T00:00:00Z');
    await lou.uses('900', '2027-06-20T00:00:00Z');
    for (const now of JUNE_ENDS) await shop.itIs(now);
    expect(await lou.bill()).toEqual(['Calls = 28.00', 'total = 28.00']);
    // 19.00 of June are below 28.00.
    await lou.uses('1000', '2027-06-21T00:00:00Z');
    for (const now of JULY_ENDS) await shop.itIs(now);
    expect(await lou.bill()).toEqual(['Calls = 28.00', 'total = 28.00']);
    // 29.00 are not.
    await lou.uses('1000', '2027-06-22T00:00:00Z');
    await shop.itIs('2027-09-01T00:00:01Z');
    expect(await lou.bill()).toEqual([
      'Calls = 28.00',
      'Calls: adjustment for 2027-06-01 to 2027-06-30 = 1.00',
      'total = 29.00',
    ]);
    await expectBooksToBalance(shop);
  });
});

describe('usage of months ago, of somebody whose prices and plan have changed since', () => {
  it('is charged by the prices of its month', async () => {
    const shop = await stories.opens('2027-06-01T00:00:00Z');
    const plan = await shop.sells('Basic', [fee('10'), perCall('0.01')]);
    const other = await shop.sells('Other', [fee('10'), perCall('0.05')]);
    const ivy = await shop.signsUp({ name: 'Ivy' }, plan);
    await shop.itIs('2027-06-20T00:00:00Z');
    const card = `/v1/rate-cards/${plan.rateCardId}`;
    await shop.call('POST', `${card}/versions`, { items: [fee('10'), perCall('0.02')] });
    await shop.call('POST', `${card}/migrations`, { fromVersion: 1 });
    for (const now of JUNE_ENDS) await shop.itIs(now);
    await ivy.asksTo('changes', { ...other, at: 'period-end' });
    for (const now of JULY_ENDS) await shop.itIs(now);
    await ivy.uses('100', '2027-06-10T00:00:00Z');
    await ivy.uses('100', '2027-07-10T00:00:00Z');
    await ivy.uses('100', '2027-08-01T12:00:00Z');
    await shop.itIs('2027-09-01T00:00:01Z');
    expect(await ivy.bill()).toEqual([
      'Fee = 10.00',
      'Calls = 5.00',
      'Calls: adjustment for 2027-06-01 to 2027-06-30 = 1.00',
      'Calls: adjustment for 2027-07-01 to 2027-07-31 = 2.00',
      'total = 18.00',
    ]);
    await expectBooksToBalance(shop);
  });
});

describe('a customer with two subscriptions', () => {
  it('pays each by what was used of its plan, and credit of one plan pays no other', async () => {
    const shop = await stories.opens('2027-06-01T00:00:00Z');
    const cats = await shop.sells('Cats', [fee('10'), perCall('0.01')]);
    const dogs = await shop.sells('Dogs', [fee('20'), perCall('0.02')]);
    const max = await shop.signsUp({ name: 'Max' }, cats);
    const again = await shop.subscribes(max.customerId, dogs);
    const usagePlanIds = [dogs.usagePlanId];
    await max.isGranted('25', { usagePlanIds });
    await shop.itIs('2027-06-20T00:00:00Z');
    await max.uses('100', '2027-06-20T00:00:00Z');
    await again.uses('1000', '2027-06-20T00:00:00Z');
    for (const now of JUNE_ENDS) await shop.itIs(now);
    const bills = await Promise.all([0, 1].map((place) => max.bill(place)));
    expect(bills.toSorted((a, b) => a.length - b.length)).toEqual([
      ['Fee = 10.00', 'Calls = 1.00', 'total = 11.00'],
      ['Fee = 20.00', 'Calls = 20.00', 'Top-up (credit, before tax) = -25.00', 'total = 15.00'],
    ]);
    expect(await max.owes()).toEqual({ receivable: '26.00', credit: '0.00' });
    await expectBooksToBalance(shop);
  });
});

describe('a cap on what a month can cost', () => {
  it('holds for all of the month, and half of it for half of one, also with late usage', async () => {
    const shop = await stories.opens('2027-06-16T00:00:00Z');
    const price = { model: 'per-unit', unitAmount: '0.01', maximumAmount: '30' };
    const plan = await shop.sells('Capped', [calls(price)]);
    const cap = await shop.signsUp({ name: 'Cap' }, plan);
    await shop.itIs('2027-06-20T00:00:00Z');
    await cap.uses('1400', '2027-06-20T00:00:00Z');
    for (const now of JUNE_ENDS) await shop.itIs(now);
    // 15 of 30 days: at most 15.00.
    expect(await cap.bill()).toEqual(['Calls = 14.00', 'total = 14.00']);
    await cap.uses('9000', '2027-06-21T00:00:00Z');
    await cap.uses('9000', '2027-07-01T00:00:00Z');
    for (const now of JULY_ENDS) await shop.itIs(now);
    expect(await cap.bill()).toEqual([
      'Calls = 30.00',
      'Calls: adjustment for 2027-06-16 to 2027-06-30 = 1.00',
      'total = 31.00',
    ]);
    await expectBooksToBalance(shop);
  });
});
