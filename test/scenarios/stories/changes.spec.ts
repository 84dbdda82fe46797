import { beforeAll, describe, expect, it } from 'vitest';
import { expectBooksToBalance } from '../../support/books.js';
import { calls, fee, perCall, startStories, type Stories } from '../../support/business.js';
import { readOut, type Invoice } from '../../support/buyer.js';

let stories: Stories;
beforeAll(async () => {
  stories = await startStories();
});

const SEATS = {
  id: 'seats',
  description: 'Seats',
  price: { model: 'per-unit', unitAmount: '5' },
  quantity: '3',
};

describe('an upgrade on the last day of February in New York', () => {
  it('asks 27 days of the one fee and one of the other, and splits usage at the instant', async () => {
    const shop = await stories.opens('2027-02-01T05:00:00Z');
    const freeCalls = calls({
      model: 'graduated',
      tiers: [
        { upTo: '1000', unitAmount: '0' },
        { upTo: null, unitAmount: '0.01' },
      ],
    });
    const basic = await shop.sells('Basic', [fee('28'), freeCalls]);
    const pro = await shop.sells('Pro', [fee('56'), perCall('0.005')]);
    const ny = { name: 'Nina', timezone: 'America/New_York' };
    const nina = await shop.signsUp(ny, basic, { startsAt: '2027-02-01T05:00:00Z' });
    await shop.itIs('2027-02-10T15:00:00Z');
    await nina.uses('1500', '2027-02-10T15:00:00Z');

    // 10 in the morning in New York, on 28 February.
    await shop.itIs('2027-02-28T15:00:00Z');
    await nina.asksTo('changes', { ...pro, at: '2027-02-28T15:00:00Z' });
    await shop.itIs('2027-03-01T04:59:59Z');
    // The gateway reports what it had kept, after the keys have moved.
    await nina.uses('100', '2027-02-28T14:59:59Z');
    await nina.uses('1000', '2027-02-28T15:00:00Z');
    // UTC has March already, New York has not.
    await nina.uses('60', '2027-03-01T04:59:59Z');
    expect(await nina.invoices()).toEqual([]);
    await shop.itIs('2027-03-01T05:00:01Z');

    // 1,600 calls, 1,000 of them free; then 1,060 of another price.
    expect(await nina.bill()).toEqual([
      'Fee: 2027-02-01 to 2027-02-28 = 27.00',
      'Calls: 2027-02-01 to 2027-02-28 = 6.00',
      'Fee: 2027-02-28 to 2027-02-28 = 2.00',
      'Calls: 2027-02-28 to 2027-02-28 = 5.30',
      'total = 40.30',
    ]);
    // The anchor stays: March is whole.
    await shop.itIs('2027-04-01T04:00:00Z');
    expect(await nina.bill()).toEqual(['Fee = 56.00', 'total = 56.00']);
    await expectBooksToBalance(shop);
  });
});

describe('a downgrade of who has paid ahead', () => {
  it('asks the dear price for its days only, and the credit pays for it and for what follows', async () => {
    const shop = await stories.opens('2027-02-01T00:00:00Z');
    const gold = await shop.sells('Gold', [fee('280')]);
    const iron = await shop.sells('Iron', [fee('28')]);
    const don = await shop.signsUp({ name: 'Don' }, gold);
    const credit = await don.isGranted('100');
    await shop.itIs('2027-02-08T09:00:00Z');
    await don.asksTo('changes', { ...iron });
    await shop.itIs('2027-03-01T00:00:01Z');
    await shop.itIs('2027-03-02T00:00:02Z');

    // 7 of 28 days by 280, 21 by 28: 91.00, which the 100.00 pay.
    expect(await don.invoice()).toMatchObject({ status: 'finalised', due: { amount: '0.00' } });
    expect(await don.bill()).toEqual([
      'Fee: 2027-02-01 to 2027-02-08 = 70.00',
      'Fee: 2027-02-08 to 2027-02-28 = 21.00',
      'Top-up (credit, before tax) = -91.00',
      'total = 0.00',
    ]);
    expect(await don.creditLeft(credit)).toBe('9.00');
    await shop.itIs('2027-04-01T00:00:01Z');
    await shop.itIs('2027-04-02T00:00:02Z');
    expect(await don.bill()).toEqual([
      'Fee = 28.00',
      'Top-up (credit, before tax) = -9.00',
      'total = 19.00',
    ]);
    expect(await don.ledger()).toEqual({ cash: '100.00', receivable: '19.00', revenue: '-119.00' });
    await expectBooksToBalance(shop);
  });
});

describe('a cancellation with prepaid credit that was not used', () => {
  it('asks for the days until then, and gives back what is left of what was paid, and no present', async () => {
    const shop = await stories.opens('2027-02-01T00:00:00Z');
    const plan = await shop.sells('Basic', [fee('56'), perCall('1')]);
    const pat = await shop.signsUp({ name: 'Pat' }, plan);
    const paid = await pat.isGranted('50');
    const present = { kind: 'promotional', name: 'Welcome', priority: 1, reference: 'welcome' };
    const given = await pat.isGranted('15', present);
    await shop.itIs('2027-02-10T15:00:00Z');
    await pat.asksTo('cancel', { at: 'now' });
    await pat.calling().toBe('no-plan');
    await shop.itIs('2027-02-10T15:00:01Z');
    await shop.itIs('2027-02-11T15:00:10Z');

    // 10 of 28 days, the last one too, are 20.00: 15.00 of the present first, then 5.00 of their own.
    expect(await pat.bill()).toEqual([
      'Fee = 20.00',
      'Welcome (credit, before tax) = -15.00',
      'Top-up (credit, before tax) = -5.00',
      'total = 0.00',
    ]);
    expect([await pat.creditLeft(given), await pat.creditLeft(paid)]).toEqual(['0.00', '45.00']);
    const back = { reason: 'Cancelled', restTo: 'cash' };
    await shop.call('POST', `/v1/credit-grants/${paid}/void`, back);
    expect(await pat.creditLeft(paid)).toBe('0.00');
    // What came in and stayed is what was earned.
    expect(await pat.ledger()).toEqual({ cash: '5.00', revenue: '-5.00' });
    await shop.itIs('2027-05-01T00:00:00Z');
    expect(await pat.invoices()).toHaveLength(1);
    await expectBooksToBalance(shop);
  });
});

describe('a pause of ten days', () => {
  it('is not charged, and calls are refused within it', async () => {
    const shop = await stories.opens('2027-06-01T00:00:00Z');
    const plan = await shop.sells('Basic', [fee('30'), perCall('0.10', { includedUnits: '300' })]);
    const ina = await shop.signsUp({ name: 'Ina' }, plan);
    await ina.calling().toBe('allowed');
    await shop.itIs('2027-06-11T00:00:00Z');
    await ina.uses('150', '2027-06-10T23:59:59Z');
    await ina.asksTo('pause', { at: '2027-06-11T00:00:00Z', until: '2027-06-21T00:00:00Z' });
    await ina.calling().toBe('no-plan');
    await shop.itIs('2027-06-20T23:59:00Z');
    await ina.calling().toBe('no-plan');
    await shop.itIs('2027-06-21T00:00:00Z');
    await ina.calling().toBe('allowed');
    await ina.uses('60', '2027-06-21T00:00:00Z');
    await shop.itIs('2027-07-01T00:00:01Z');

    // 20 of 30 days: 20.00, and 200 of 300 included calls, of 210.
    expect(await ina.bill()).toEqual([
      'Fee: 2027-06-01 to 2027-06-10, 2027-06-21 to 2027-06-30 = 20.00',
      'Calls: 2027-06-01 to 2027-06-10, 2027-06-21 to 2027-06-30 = 1.00',
      'total = 21.00',
    ]);
    await expectBooksToBalance(shop);
  });
});

describe('seats that are added within a month', () => {
  it('are charged for their days, and more of them from the next month on', async () => {
    const shop = await stories.opens('2027-06-01T00:00:00Z');
    const plan = await shop.sells('Basic', [fee('30')]);
    const sam = await shop.signsUp({ name: 'Sam' }, plan);
    await shop.itIs('2027-06-16T00:00:00Z');
    await sam.asksTo('changes', { addOns: [SEATS], at: '2027-06-16T00:00:00Z' });
    await sam.asksTo('changes', { addOns: [{ ...SEATS, quantity: '7' }], at: 'period-end' });
    await shop.itIs('2027-07-01T00:00:01Z');
    // 15 of 30 days of 3 × 5.00; what was there before goes on as it was.
    expect(await sam.bill()).toEqual([
      'Fee = 30.00',
      'Seats: 2027-06-16 to 2027-06-30 = 7.50',
      'total = 37.50',
    ]);
    await shop.itIs('2027-08-01T00:00:01Z');
    expect(await sam.bill()).toEqual(['Fee = 30.00', 'Seats = 35.00', 'total = 65.00']);
    await expectBooksToBalance(shop);
  });
});

describe('a price for one customer alone', () => {
  it('holds for them from when it is agreed, and for nobody else', async () => {
    const shop = await stories.opens('2027-06-01T00:00:00Z');
    const plan = await shop.sells('Basic', [fee('30'), perCall('0.01')]);
    const own = { priceId: 'calls', price: { model: 'per-unit', unitAmount: '0.004' } };
    const [list, friend, later] = [
      await shop.signsUp({ name: 'List' }, plan),
      await shop.signsUp({ name: 'Friend' }, plan, { priceOverrides: [own] }),
      await shop.signsUp({ name: 'Later' }, plan),
    ];
    await shop.itIs('2027-06-16T00:00:00Z');
    for (const who of [list, friend, later]) await who.uses('1000', '2027-06-15T23:59:59Z');
    await later.asksTo('changes', { priceOverrides: [own], at: '2027-06-16T00:00:00Z' });
    await shop.itIs('2027-06-30T23:59:59Z');
    for (const who of [list, friend, later]) await who.uses('1000', '2027-06-16T00:00:00Z');
    await shop.itIs('2027-07-01T00:00:01Z');

    expect(await list.bill()).toEqual(['Fee = 30.00', 'Calls = 20.00', 'total = 50.00']);
    expect(await friend.bill()).toEqual(['Fee = 30.00', 'Calls = 8.00', 'total = 38.00']);
    expect(await later.bill()).toEqual([
      'Fee = 30.00',
      'Calls: 2027-06-01 to 2027-06-15 = 10.00',
      'Calls: 2027-06-16 to 2027-06-30 = 4.00',
      'total = 44.00',
    ]);
    await expectBooksToBalance(shop);
  });
});

describe('a new version of the prices', () => {
  it('is for who signs up from then on; who was there before is moved with the end of their month', async () => {
    const shop = await stories.opens('2027-06-01T00:00:00Z');
    const plan = await shop.sells('Basic', [fee('10'), perCall('0.01')]);
    const old = await shop.signsUp({ name: 'Old' }, plan);
    const leaving = await shop.signsUp({ name: 'Leaving' }, plan);
    await shop.itIs('2027-06-16T00:00:00Z');
    const card = `/v1/rate-cards/${plan.rateCardId}`;
    await shop.call('POST', `${card}/versions`, { items: [fee('20'), perCall('0.02')] });
    const fresh = await shop.signsUp({ name: 'Fresh' }, plan, { startsAt: '2027-06-16T00:00:00Z' });
    await leaving.asksTo('cancel');
    for (const who of [old, leaving, fresh]) await who.uses('100', '2027-06-16T00:00:00Z');

    const dry = await shop.call('POST', `${card}/migrations`, { fromVersion: 1, dryRun: true });
    const told = dry['items'].find(
      (item: { customerId: string }) => item.customerId === old.customerId,
    );
    expect(told).toMatchObject({ before: { amount: '10.00' }, after: { amount: '20.00' } });
    await shop.call('POST', `${card}/migrations`, { fromVersion: 1 });
    await shop.itIs('2027-07-01T00:00:01Z');
    await shop.itIs('2027-08-01T00:00:01Z');

    expect(await old.bill(0)).toEqual(['Fee = 10.00', 'Calls = 1.00', 'total = 11.00']);
    expect(await old.bill(1)).toEqual(['Fee = 20.00', 'total = 20.00']);
    expect(await leaving.bill()).toEqual(['Fee = 10.00', 'Calls = 1.00', 'total = 11.00']);
    expect(await leaving.invoices()).toHaveLength(1);
    // 15 of 30 days.
    expect(await fresh.bill(0)).toEqual(['Fee = 10.00', 'Calls = 2.00', 'total = 12.00']);
    await expectBooksToBalance(shop);
  });
});

describe('a developer whose quota is used up', () => {
  it('may call again at once with a larger plan, and both plans are charged for their part', async () => {
    const shop = await stories.opens('2027-06-01T00:00:00Z');
    const quota = (limit: number) => ({ quota: { limit, period: 'MONTH' } });
    const small = await shop.sells('Small', [fee('30'), perCall('1')], quota(3));
    const large = await shop.sells('Large', [fee('60'), perCall('0.50')], quota(5));
    const dev = await shop.signsUp({ name: 'Dev' }, small);
    for (let n = 0; n < 3; n += 1) expect(await shop.decides(dev.apiKey)).toBe('allowed');
    expect(await shop.decides(dev.apiKey)).toBe('quota-exceeded');
    await shop.itIs('2027-06-16T00:00:00Z');
    await dev.uses('3', '2027-06-15T12:00:00Z');
    expect(await shop.decides(dev.apiKey)).toBe('quota-exceeded');
    await dev.asksTo('changes', { ...large, at: '2027-06-16T00:00:00Z' });
    await dev.calling().toBe('allowed');
    for (let n = 1; n < 5; n += 1) expect(await shop.decides(dev.apiKey)).toBe('allowed');
    expect(await shop.decides(dev.apiKey)).toBe('quota-exceeded');
    await dev.uses('5', '2027-06-16T00:00:00Z');
    // The next month has a quota of its own.
    await shop.itIs('2027-07-01T00:00:00Z');
    await dev.calling().toBe('allowed');

    expect(await dev.bill()).toEqual([
      'Fee: 2027-06-01 to 2027-06-15 = 15.00',
      'Calls: 2027-06-01 to 2027-06-15 = 3.00',
      'Fee: 2027-06-16 to 2027-06-30 = 30.00',
      'Calls: 2027-06-16 to 2027-06-30 = 2.50',
      'total = 50.50',
    ]);
    await expectBooksToBalance(shop);
  });
});

describe('what the page of an upgrade shows', () => {
  it('is what the invoice says when nothing more is used', async () => {
    const shop = await stories.opens('2027-06-01T00:00:00Z');
    const basic = await shop.sells('Basic', [fee('19.99'), perCall('0.0037')]);
    const pro = await shop.sells('Pro', [fee('49.99'), perCall('0.0021')]);
    const zoe = await shop.signsUp({ name: 'Zoe' }, basic);
    await shop.itIs('2027-06-18T10:00:00Z');
    await zoe.uses('12345', '2027-06-17T10:00:00Z');
    await shop.worksOff();
    const asked = { ...pro, at: '2027-06-20T00:00:00Z' };
    const path = `/v1/subscriptions/${zoe.subscriptionId}/changes/preview`;
    const shown = await shop.call('POST', path, asked);
    await zoe.asksTo('changes', asked);
    await shop.itIs('2027-07-01T00:00:01Z');
    // 19 of 30 days of 19.99 are 12.66033, 11 of 49.99 are 18.32966; 12,345 calls are 45.6765.
    expect(await zoe.bill()).toEqual([
      'Fee: 2027-06-01 to 2027-06-19 = 12.66',
      'Calls: 2027-06-01 to 2027-06-19 = 45.68',
      'Fee: 2027-06-20 to 2027-06-30 = 18.33',
      'total = 76.67',
    ]);
    expect(readOut(shown['after'] as Invoice)).toEqual(await zoe.bill());
    await expectBooksToBalance(shop);
  });
});
