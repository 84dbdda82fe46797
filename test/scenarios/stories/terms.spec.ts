import { beforeAll, describe, expect, it } from 'vitest';
import { expectBooksToBalance } from '../../support/books.js';
import { fee, perCall, startStories, type Stories } from '../../support/business.js';
import { readOut, type Invoice } from '../../support/buyer.js';

let stories: Stories;
beforeAll(async () => {
  stories = await startStories();
});

const VAT = { name: 'VAT', category: 'standard', ratePercent: '20' };

describe('somebody who commits to a minimum in the middle of a month', () => {
  it('is asked for half of it, less what they used; late usage takes its place', async () => {
    const shop = await stories.opens('2027-06-16T00:00:00Z');
    const minimum = { ...fee('100'), id: 'minimum', description: 'Minimum', isCommitment: true };
    const plan = await shop.sells('Committed', [fee('20'), perCall('0.01'), minimum]);
    const cor = await shop.signsUp({ name: 'Cor' }, plan);
    await shop.itIs('2027-06-20T00:00:00Z');
    await cor.uses('1000', '2027-06-20T00:00:00Z');
    await shop.itIs('2027-07-01T00:00:01Z');
    await shop.itIs('2027-07-02T00:00:02Z');
    // 15 of 30 days: 50.00, of which the fee is 10.00 and the calls are 10.00.
    expect(await cor.bill()).toEqual([
      'Fee = 10.00',
      'Calls = 10.00',
      'Minimum = 30.00',
      'total = 50.00',
    ]);
    // 25.00 more are still below the minimum; of 10.00 after them 5.00 are above it.
    await cor.uses('2500', '2027-06-21T00:00:00Z');
    await shop.itIs('2027-08-01T00:00:01Z');
    await shop.itIs('2027-08-02T00:00:02Z');
    expect(await cor.bill()).toEqual([
      'Fee = 20.00',
      'Minimum = 80.00',
      'Calls: adjustment for 2027-06-16 to 2027-06-30 = 25.00',
      'Minimum: adjustment for 2027-06-16 to 2027-06-30 = -25.00',
      'total = 100.00',
    ]);
    await cor.uses('1000', '2027-06-22T00:00:00Z');
    await shop.itIs('2027-09-01T00:00:01Z');
    expect(await cor.bill()).toEqual([
      'Fee = 20.00',
      'Minimum = 80.00',
      'Calls: adjustment for 2027-06-16 to 2027-06-30 = 10.00',
      'Minimum: adjustment for 2027-06-16 to 2027-06-30 = -5.00',
      'total = 105.00',
    ]);
    await expectBooksToBalance(shop);
  });
});

describe('a coupon of half the price for two months', () => {
  it('comes off before credit and tax, also of a month in parts, and ends by itself', async () => {
    const shop = await stories.opens('2027-06-01T00:00:00Z');
    await shop.call('POST', '/v1/tax-rules', VAT);
    const basic = await shop.sells('Basic', [fee('60')]);
    const pro = await shop.sells('Pro', [fee('120')]);
    const cleo = await shop.signsUp({ name: 'Cleo' }, basic);
    await cleo.isGranted('20');
    const terms = { name: 'Spring', percent: '50', duration: 'periods', periods: 2 };
    await shop.call('POST', '/v1/coupons', { code: 'SPRING', ...terms });
    const { customerId } = cleo;
    await shop.call('POST', '/v1/coupon-redemptions', { code: 'SPRING', customerId });
    await shop.itIs('2027-06-16T00:00:00Z');
    await cleo.asksTo('changes', { ...pro, at: '2027-06-16T00:00:00Z' });
    for (const month of ['07', '08', '09'])
      for (const now of ['01T00:00:01Z', '02T00:00:02Z']) await shop.itIs(`2027-${month}-${now}`);
    // 30.00 and 60.00 at half the price; 20.00 of credit; 20 % of the 25.00 that are left.
    expect(await cleo.bill(0)).toEqual([
      'Fee: 2027-06-01 to 2027-06-15 = 15.00',
      'Fee: 2027-06-16 to 2027-06-30 = 30.00',
      'Top-up (credit, before tax) = -20.00',
      'VAT 20 % of 25.00 = 5.00',
      'total = 30.00',
    ]);
    expect(await cleo.bill(1)).toEqual([
      'Fee = 60.00',
      'VAT 20 % of 60.00 = 12.00',
      'total = 72.00',
    ]);
    expect(await cleo.bill(2)).toEqual([
      'Fee = 120.00',
      'VAT 20 % of 120.00 = 24.00',
      'total = 144.00',
    ]);
    expect(await cleo.ledger()).toEqual({
      cash: '20.00',
      receivable: '246.00',
      revenue: '-225.00',
      'tax-payable': '-41.00',
    });
    await expectBooksToBalance(shop);
  });
});

describe('a large customer who pays after sixty days', () => {
  it('is overdue after them, and others after the fourteen that everybody has', async () => {
    const shop = await stories.opens('2027-06-01T00:00:00Z');
    await shop.call('PATCH', '/v1/invoice-settings', { netTermsDays: 14 });
    const plan = await shop.sells('Basic', [fee('100')]);
    const large = await shop.signsUp({ name: 'Large', netTermsDays: 60 }, plan);
    const small = await shop.signsUp({ name: 'Small' }, plan);
    const agreed = await shop.signsUp({ name: 'Agreed' }, plan, { netTermsDays: 7 });
    await shop.itIs('2027-07-01T00:00:01Z');
    await shop.itIs('2027-07-02T00:00:02Z');
    const dueOn = async (who: typeof large) => (await who.invoice(0)).dueAt?.slice(0, 10);
    expect(await dueOn(large)).toBe('2027-08-31');
    expect(await dueOn(small)).toBe('2027-07-16');
    expect(await dueOn(agreed)).toBe('2027-07-09');
    const overdue = async () =>
      (await shop.list('/v1/overdue-invoices'))
        .map(({ customerId }) => String(customerId))
        .toSorted();
    await shop.itIs('2027-07-20T00:00:00Z');
    expect(await overdue()).toEqual([small.customerId, agreed.customerId].toSorted());
    await expectBooksToBalance(shop);
  });
});

describe('what a month will cost', () => {
  it('is what it costs when somebody goes on as they began', async () => {
    const shop = await stories.opens('2027-06-01T00:00:00Z');
    const plan = await shop.sells('Basic', [fee('30'), perCall('0.01', { includedUnits: '1000' })]);
    const eva = await shop.signsUp({ name: 'Eva' }, plan, { startsAt: '2027-06-01T00:00:00Z' });
    await shop.itIs('2027-06-10T23:59:59Z');
    await eva.uses('1000', '2027-06-10T23:59:59Z');
    await shop.worksOff();
    await shop.itIs('2027-06-11T00:00:00Z');
    const path = `/v1/subscriptions/${eva.subscriptionId}/projection`;
    const { soFar, projected } = await shop.call('GET', path);
    expect(readOut(soFar as Invoice)).toEqual(['Fee = 30.00', 'Calls = 0.00', 'total = 30.00']);
    // A third of June: 3,000 calls, of which 1,000 are included.
    const said = ['Fee = 30.00', 'Calls = 20.00', 'total = 50.00'];
    expect(readOut(projected as Invoice)).toEqual(said);
    await shop.itIs('2027-06-30T00:00:00Z');
    await eva.uses('2000', '2027-06-30T00:00:00Z');
    await shop.itIs('2027-07-01T00:00:01Z');
    expect(await eva.bill()).toEqual(said);
    await expectBooksToBalance(shop);
  });
});
