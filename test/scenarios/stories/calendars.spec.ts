import { beforeAll, describe, expect, it } from 'vitest';
import { expectBooksToBalance } from '../../support/books.js';
import { calls, fee, perCall, startStories, type Stories } from '../../support/business.js';
import { shortInstant } from '../../support/buyer.js';

let stories: Stories;
beforeAll(async () => {
  stories = await startStories();
});

const MONTHLY = { interval: 'month', timezone: 'America/New_York' };

describe('who signs up on the 31st', () => {
  it('is billed on the last day of shorter months, and on the 31st again where there is one', async () => {
    const shop = await stories.opens('2027-01-31T05:00:00Z');
    const plan = await shop.sells('Basic', [fee('31'), perCall('0.10')]);
    const periodRule = { kind: 'anniversary', anchor: '2027-01-31', ...MONTHLY };
    const ada = await shop.signsUp({ name: 'Ada' }, plan, { periodRule });

    // The last call of the first period, and the first of the second.
    await shop.itIs('2027-02-28T05:00:10Z');
    await ada.uses('3', '2027-02-28T04:59:59Z');
    await ada.uses('5', '2027-02-28T05:00:00Z');
    await shop.itIs('2027-05-31T05:00:00Z');

    // A month from the 31st is a whole month, however long it is.
    const invoices = await ada.invoices();
    expect(invoices.map(({ period }) => shortInstant(period.from))).toEqual([
      '2027-01-31T05:00',
      '2027-02-28T05:00',
      '2027-03-31T04:00',
      '2027-04-30T04:00',
    ]);
    expect(await ada.bill(0)).toEqual(['Fee = 31.00', 'Calls = 0.30', 'total = 31.30']);
    expect(await ada.bill(1)).toEqual(['Fee = 31.00', 'Calls = 0.50', 'total = 31.50']);
    expect(await ada.bill(2)).toEqual(['Fee = 31.00', 'total = 31.00']);
    expect(await ada.bill(3)).toEqual(['Fee = 31.00', 'total = 31.00']);
    expect(await ada.openPeriod()).toEqual(['2027-05-31T04:00', '2027-06-30T04:00']);
    await expectBooksToBalance(shop);
  });
});

describe('who signs up on the 29th of February, for years', () => {
  it('has a year that ends on the 28th, until there is a 29th again', async () => {
    const shop = await stories.opens('2024-02-29T00:00:00Z');
    const plan = await shop.sells('Yearly', [fee('366'), perCall('1')]);
    const year = { interval: 'year', timezone: 'UTC' };
    const periodRule = { kind: 'anniversary', anchor: '2024-02-29', ...year };
    const bob = await shop.signsUp({ name: 'Bob' }, plan, { periodRule });

    await shop.itIs('2028-02-29T00:00:10Z');
    await bob.uses('1', '2028-02-28T23:59:59Z');
    await bob.uses('7', '2028-02-29T00:00:00Z');
    await shop.itIs('2028-03-02T00:00:00Z');

    const invoices = await bob.invoices();
    expect(invoices.map(({ period }) => shortInstant(period.from).slice(0, 10))).toEqual([
      '2024-02-29',
      '2025-02-28',
      '2026-02-28',
      '2027-02-28',
    ]);
    expect(await bob.bill()).toEqual(['Fee = 366.00', 'Calls = 1.00', 'total = 367.00']);
    expect(await bob.openPeriod()).toEqual(['2028-02-29T00:00', '2029-02-28T00:00']);
    expect(await bob.billSoFar()).toEqual(['Fee = 366.00', 'Calls = 7.00', 'total = 373.00']);
    await expectBooksToBalance(shop);
  });
});

describe('a month in which the clocks of Lord Howe go back half an hour', () => {
  it('ends on the half hour, and has thirty days', async () => {
    // April: from 1 April 00:00 +11:00, to 1 May 00:00 +10:30. The clocks go back on the 4th.
    const shop = await stories.opens('2027-03-31T13:00:00Z');
    const basic = await shop.sells('Basic', [fee('30'), perCall('0.01')]);
    const pro = await shop.sells('Pro', [fee('60'), perCall('0.02')]);
    const where = { name: 'Surf', timezone: 'Australia/Lord_Howe' };
    const surf = await shop.signsUp(where, basic);
    // The day of the change is one day, though it has 24.5 hours.
    await shop.itIs('2027-04-03T13:00:00Z');
    await surf.asksTo('changes', { ...pro, at: '2027-04-03T13:00:00Z' });
    await shop.itIs('2027-04-30T13:30:10Z');
    // Both in one hour of UTC, and in two months.
    await surf.uses('100', '2027-04-30T13:29:59Z');
    await surf.uses('900', '2027-04-30T13:30:00Z');
    await shop.itIs('2027-05-02T00:00:00Z');

    // 3 of 30 days by 30.00, 27 of 30 days by 60.00.
    expect(await surf.bill()).toEqual([
      'Fee: 2027-04-01 to 2027-04-03 = 3.00',
      'Fee: 2027-04-04 to 2027-04-30 = 54.00',
      'Calls: 2027-04-04 to 2027-04-30 = 2.00',
      'total = 59.00',
    ]);
    expect(await surf.openPeriod()).toEqual(['2027-04-30T13:30', '2027-05-31T13:30']);
    expect(await surf.billSoFar()).toEqual(['Fee = 60.00', 'Calls = 18.00', 'total = 78.00']);
    await expectBooksToBalance(shop);
  });
});

describe('who signs up within a month of Kathmandu', () => {
  it('is asked for a quarter of the fee and the minimum, and has a quarter of the included calls', async () => {
    // 22 February 00:00 +05:45: 7 of 28 days.
    const shop = await stories.opens('2027-02-21T18:15:00Z');
    const traffic = {
      id: 'traffic',
      meter: 'bytes-out',
      description: 'Traffic',
      price: { model: 'per-unit', unitAmount: '0.001', minimumAmount: '40' },
    };
    const included = calls({ model: 'per-unit', unitAmount: '0.01', includedUnits: '400' });
    const plan = await shop.sells('Basic', [fee('100'), included, traffic]);
    const where = { name: 'Sherpa', timezone: 'Asia/Kathmandu' };
    const sherpa = await shop.signsUp(where, plan);
    await shop.itIs('2027-02-28T18:15:10Z');
    await sherpa.uses({ calls: '130', 'bytes-out': '9000' }, '2027-02-28T18:14:59Z');
    await sherpa.uses({ calls: '401', 'bytes-out': '41000' }, '2027-02-28T18:15:00Z');
    await shop.itIs('2027-03-31T18:15:10Z');

    // 130 calls less 100 that are included; 9.00 of traffic is less than 10.00, a quarter of the minimum.
    expect(await sherpa.bill(0)).toEqual([
      'Fee = 25.00',
      'Calls = 0.30',
      'Traffic = 10.00',
      'total = 35.30',
    ]);
    // The next month is whole: 1 call above 400, and traffic above its minimum.
    expect(await sherpa.bill(1)).toEqual([
      'Fee = 100.00',
      'Calls = 0.01',
      'Traffic = 41.00',
      'total = 141.01',
    ]);
    await expectBooksToBalance(shop);
  });
});

describe('a customer who moves from New York to Paris', () => {
  it('has a month that begins where the last one ended, and ends at midnight of Paris', async () => {
    const shop = await stories.opens('2027-02-01T05:00:00Z');
    const plan = await shop.sells('Basic', [fee('31'), perCall('1')]);
    const eve = await shop.signsUp({ name: 'Eve', timezone: 'America/New_York' }, plan);
    await shop.itIs('2027-02-20T12:00:00Z');
    const periodRule = { kind: 'calendar', interval: 'month', timezone: 'Europe/Paris' };
    await eve.asksTo('changes', { periodRule, at: 'period-end' });
    await shop.itIs('2027-04-01T04:00:00Z');
    // 31 March 23:00 in New York, 1 April 05:00 in Paris: April, since they live there now.
    await eve.uses('2', '2027-04-01T03:00:00Z');
    await eve.uses('4', '2027-03-31T21:59:59Z');
    await shop.itIs('2027-05-01T00:00:00Z');

    const periods = (await eve.invoices()).map(({ period: { from, to } }) => [
      shortInstant(from),
      shortInstant(to),
    ]);
    // Paris: +01:00 until 28 March, +02:00 from then on.
    expect(periods).toEqual([
      ['2027-02-01T05:00', '2027-03-01T05:00'],
      ['2027-03-01T05:00', '2027-03-31T22:00'],
      ['2027-03-31T22:00', '2027-04-30T22:00'],
    ]);
    expect(await eve.bill(0)).toEqual(['Fee = 31.00', 'total = 31.00']);
    expect(await eve.bill(1)).toEqual(['Fee = 31.00', 'Calls = 4.00', 'total = 35.00']);
    expect(await eve.bill(2)).toEqual(['Fee = 31.00', 'Calls = 2.00', 'total = 33.00']);
    await expectBooksToBalance(shop);
  });
});

describe('a trial', () => {
  it('becomes paid: what was used within it is free, and the fee is for the days after it', async () => {
    const shop = await stories.opens('2027-06-01T00:00:00Z');
    const plan = await shop.sells('Basic', [fee('30'), perCall('0.01', { includedUnits: '300' })]);
    const terms = { trialEndsAt: '2027-06-16T00:00:00Z' };
    const [kim, leo] = [
      await shop.signsUp({ name: 'Kim' }, plan, terms),
      await shop.signsUp({ name: 'Leo' }, plan, terms),
    ];
    await shop.itIs('2027-06-15T23:59:59Z');
    await kim.uses('100000', '2027-06-15T23:59:58Z');
    // Leo leaves before it ends.
    await leo.asksTo('cancel', { at: 'now' });
    await shop.itIs('2027-06-30T00:00:00Z');
    await kim.uses('250', '2027-06-16T00:00:00Z');
    await shop.itIs('2027-07-02T00:00:00Z');

    // 15 of 30 days, and 150 of 300 included calls: 100 calls to pay.
    expect(await kim.bill()).toEqual([
      'Fee: 2027-06-16 to 2027-06-30 = 15.00',
      'Calls: 2027-06-16 to 2027-06-30 = 1.00',
      'total = 16.00',
    ]);
    expect(await leo.bill()).toEqual(['total = 0.00']);
    expect(await leo.subscription()).toMatchObject({ status: 'ended' });
    await expectBooksToBalance(shop);
  });
});

describe('currencies that have no cents, or more than a hundred', () => {
  it.each([
    {
      currency: 'JPY',
      monthly: '1000',
      // 16 of 31 days of 1,000 are 516.129, 100 calls 1.5, and 10 % of 518 are 51.8.
      bill: ['Fee = 516', 'Calls = 2', 'Tax 10 % of 518 = 52', 'total = 570'],
      why: 'the yen has no part',
    },
    {
      currency: 'KWD',
      monthly: '1.000',
      // 16 of 31 days are 0.516129, and 10 % of 2.016 are 0.2016.
      bill: ['Fee = 0.516', 'Calls = 1.500', 'Tax 10 % of 2.016 = 0.202', 'total = 2.218'],
      why: 'a dinar has a thousand fils',
    },
  ])('are charged in whole minor units: $why', async ({ currency, monthly, bill }) => {
    const shop = await stories.opens('2027-07-16T00:00:00Z');
    await shop.call('POST', '/v1/tax-rules', {
      name: 'Tax',
      category: 'standard',
      ratePercent: '10',
    });
    const plan = await shop.sells(currency, [fee(monthly), perCall('0.015')], { currency });
    const mia = await shop.signsUp({ name: 'Mia', currency }, plan);
    await shop.itIs('2027-07-31T23:59:59Z');
    await mia.uses('100', '2027-07-31T23:59:59Z');
    await shop.itIs('2027-08-01T00:00:00Z');
    expect(await mia.bill()).toEqual(bill);
    // It is paid to the last minor unit.
    await mia.with('finalise');
    expect(await mia.with('pay')).toMatchObject({ status: 'paid', due: { minor: '0' } });
    await expectBooksToBalance(shop);
  });
});
