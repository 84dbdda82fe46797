import { beforeAll, describe, expect, it } from 'vitest';
import { expectBooksToBalance } from '../../support/books.js';
import { fee, perCall, startStories, type Stories } from '../../support/business.js';

let stories: Stories;
beforeAll(async () => {
  stories = await startStories();
});

const VAT = { name: 'VAT', category: 'standard', ratePercent: '19' };

describe('an invoice that nobody pays', () => {
  it('is reminded of, blocks the calls, and lets them pass again when it is paid in full', async () => {
    const shop = await stories.opens('2027-06-01T00:00:00Z');
    const steps = [
      { afterDays: 3, action: 'remind' },
      { afterDays: 14, action: 'block' },
    ];
    await shop.call('PUT', '/v1/dunning-schedule', { steps });
    const plan = await shop.sells('Basic', [fee('100')]);
    const late = await shop.signsUp({ name: 'Late', email: 'late@example.com' }, plan, {
      netTermsDays: 14,
    });
    const good = await shop.signsUp({ name: 'Good' }, plan, { netTermsDays: 14 });
    await shop.itIs('2027-07-01T00:00:01Z');
    await shop.itIs('2027-07-02T00:00:02Z');
    await good.with('pay');
    expect(await late.invoice()).toMatchObject({
      dueAt: expect.stringMatching(/^2027-07-16T00:00/),
    });

    const overdue = async () => (await shop.list('/v1/overdue-invoices')).map(({ done }) => done);
    await shop.itIs('2027-07-18T23:59:00Z');
    expect(await overdue()).toEqual([[]]);
    await shop.itIs('2027-07-19T00:01:00Z');
    expect(await overdue()).toMatchObject([[{ afterDays: 3, action: 'remind' }]]);
    expect(await shop.decides(late.apiKey)).toBe('allowed');
    await shop.itIs('2027-07-30T00:01:00Z');
    await late.calling().toBe('blocked-customer');
    expect(await shop.decides(good.apiKey)).toBe('allowed');

    const june = await late.invoice(0);
    await late.with('payments', { amount: '60', reference: 'first' }, june);
    expect(await shop.decides(late.apiKey)).toBe('blocked-customer');
    await late.with('payments', { amount: '40', reference: 'second' }, june);
    await late.calling().toBe('allowed');
    expect(await overdue()).toEqual([]);
    await expectBooksToBalance(shop);
  });

  it('is given up, and is paid after all', async () => {
    const shop = await stories.opens('2027-06-01T00:00:00Z');
    const plan = await shop.sells('Basic', [fee('100')]);
    const lee = await shop.signsUp({ name: 'Lee' }, plan);
    await shop.itIs('2027-06-30T12:00:00Z');
    await lee.asksTo('cancel', { at: 'now' });
    await shop.itIs('2027-06-30T12:00:01Z');
    await shop.itIs('2027-07-01T12:00:02Z');
    const payment = { amount: '40', reference: 'SEPA 1' };
    await lee.with('payments', payment);
    // The bank tells the same twice.
    await lee.with('payments', payment);
    expect(await lee.invoice()).toMatchObject({ due: { amount: '60.00' } });
    await lee.with('mark-uncollectible');
    expect(await lee.owes()).toEqual({ receivable: '0.00', credit: '0.00' });
    expect(await lee.ledger()).toEqual({ cash: '40.00', 'bad-debt': '60.00', revenue: '-100.00' });
    await lee.with('payments', { amount: '60', reference: 'SEPA 2' });
    expect(await lee.invoice()).toMatchObject({ status: 'paid', due: { amount: '0.00' } });
    expect(await lee.ledger()).toEqual({ cash: '100.00', revenue: '-100.00' });
    await expectBooksToBalance(shop);
  });
});

describe('a wallet with a hard stop', () => {
  it('runs dry, refuses calls, and takes them again with the next top-up', async () => {
    const shop = await stories.opens('2027-06-01T00:00:00Z');
    const plan = await shop.sells('Prepaid', [perCall('0.01')]);
    const wes = await shop.signsUp({ name: 'Wes' }, plan);
    const first = await wes.isGranted('5');
    const wallet = `/v1/customers/${wes.customerId}/wallets/USD`;
    await shop.call('PUT', wallet, { hardStop: true, lowBalance: '1' });
    await shop.itIs('2027-06-10T00:00:00Z');
    await wes.uses('450', '2027-06-10T00:00:00Z');
    await shop.worksOff();
    expect(await shop.call('GET', wallet)).toMatchObject({ isLow: true, left: { amount: '0.50' } });
    expect(await shop.decides(wes.apiKey)).toBe('allowed');
    await wes.uses('50', '2027-06-10T00:00:00Z');
    await shop.worksOff();
    await wes.calling().toBe('blocked-customer');
    const second = await wes.isGranted('3');
    await wes.calling().toBe('allowed');
    await wes.uses('100', '2027-06-10T00:00:00Z');

    await shop.itIs('2027-07-01T00:00:01Z');
    await shop.itIs('2027-07-02T00:00:02Z');
    expect(await wes.bill()).toEqual([
      'Calls = 6.00',
      'Top-up (credit, before tax) = -5.00',
      'Top-up (credit, before tax) = -1.00',
      'total = 0.00',
    ]);
    expect([await wes.creditLeft(first), await wes.creditLeft(second)]).toEqual(['0.00', '2.00']);
    expect(await shop.call('GET', wallet)).toMatchObject({ left: { amount: '2.00' } });
    await expectBooksToBalance(shop);
  });
});

describe('credit that expires', () => {
  it('pays first what it can, and what is left of it is earned without a service', async () => {
    const shop = await stories.opens('2027-06-01T00:00:00Z');
    const plan = await shop.sells('Basic', [fee('30')]);
    const exa = await shop.signsUp({ name: 'Exa' }, plan);
    const lasting = await exa.isGranted('100');
    const short = { expiresAt: '2027-07-15T00:00:00Z', name: 'Summer', reference: 'summer' };
    const summer = await exa.isGranted('50', short);
    await shop.itIs('2027-07-01T00:00:01Z');
    await shop.itIs('2027-07-02T00:00:02Z');
    expect(await exa.bill()).toEqual([
      'Fee = 30.00',
      'Summer (credit, before tax) = -30.00',
      'total = 0.00',
    ]);
    await shop.itIs('2027-07-15T00:00:00Z');
    expect(await exa.creditLeft(summer)).toBe('0.00');
    await shop.itIs('2027-08-01T00:00:01Z');
    await shop.itIs('2027-08-02T00:00:02Z');
    expect(await exa.bill()).toEqual([
      'Fee = 30.00',
      'Top-up (credit, before tax) = -30.00',
      'total = 0.00',
    ]);
    expect(await exa.creditLeft(lasting)).toBe('70.00');
    expect(await exa.ledger()).toEqual({
      cash: '150.00',
      'prepaid-credit': '-70.00',
      breakage: '-20.00',
      revenue: '-60.00',
    });
    await expectBooksToBalance(shop);
  });
});

describe('a group of two companies', () => {
  it('numbers the invoices and credit notes of each by itself', async () => {
    const shop = await stories.opens('2027-06-01T00:00:00Z');
    const plan = await shop.sells('Basic', [fee('100')]);
    const issuer = async (series: string, name: string) =>
      String((await shop.call('POST', '/v1/issuers', { series, name }))['id']);
    const [de, us] = [await issuer('DE', 'Petstore GmbH'), await issuer('US', 'Petstore Inc.')];
    const german = await shop.signsUp({ name: 'German' }, plan, { issuerId: de });
    const american = await shop.signsUp({ name: 'American' }, plan, { issuerId: us });
    for (const now of ['2027-07-01T00:00:01Z', '2027-07-02T00:00:02Z']) await shop.itIs(now);
    const { id } = await german.invoice();
    await shop.call('POST', `/v1/invoices/${id}/credit-notes`, { reason: 'Outage' });
    for (const now of ['2027-08-01T00:00:01Z', '2027-08-02T00:00:02Z']) await shop.itIs(now);
    const numbers = async (who: typeof german) =>
      (await who.invoices()).map(({ number }) => number);
    expect(await numbers(german)).toEqual(['DE-000001', 'DE-000002']);
    expect(await numbers(american)).toEqual(['US-000001', 'US-000002']);
    const notes = await shop.list('/v1/credit-notes');
    expect(notes.map(({ number }) => number)).toEqual(['DECN-000001']);
    await expectBooksToBalance(shop);
  });
});

describe('a company in another country of the union', () => {
  it('owes the tax itself, and its invoice says why; who lives here pays it', async () => {
    const account = { legalName: 'Petstore GmbH', address: 'Ring 1, Berlin', taxId: 'DE123456789' };
    const shop = await stories.opens('2027-06-01T00:00:00Z', account);
    await shop.call('POST', '/v1/tax-rules', VAT);
    const plan = await shop.sells('Basic', [fee('100'), perCall('0.01')], { currency: 'EUR' });
    const french = { name: 'Animaux', legalName: 'Animaux SARL', taxId: 'FR12345678901' };
    const abroad = await shop.signsUp({ ...french, currency: 'EUR' }, plan);
    const here = await shop.signsUp({ name: 'Tiere', currency: 'EUR' }, plan);
    const reason = 'Reverse charge: article 196 of directive 2006/112/EC';
    const { customerId } = abroad;
    const reverse = {
      name: 'VAT',
      category: 'reverse-charge',
      ratePercent: '0',
      reason,
      customerId,
    };
    await shop.call('POST', '/v1/tax-rules', reverse);
    for (const now of ['2027-07-01T00:00:01Z', '2027-07-02T00:00:02Z']) await shop.itIs(now);
    expect(await abroad.bill()).toEqual([
      'Fee = 100.00',
      'VAT 0 % of 100.00 = 0.00',
      'total = 100.00',
    ]);
    expect(await here.bill()).toEqual([
      'Fee = 100.00',
      'VAT 19 % of 100.00 = 19.00',
      'total = 119.00',
    ]);
    expect((await abroad.invoice()).taxes).toMatchObject([{ category: 'reverse-charge', reason }]);
    expect(await abroad.ledger()).toEqual({ receivable: '100.00', revenue: '-100.00' });
    expect(await here.ledger()).toEqual({
      receivable: '119.00',
      revenue: '-100.00',
      'tax-payable': '-19.00',
    });
    await expectBooksToBalance(shop);
  });
});

describe('prices that contain their tax', () => {
  it('are what is paid, to the cent; the tax is taken out of their sum', async () => {
    const shop = await stories.opens('2027-06-01T00:00:00Z');
    await shop.call('POST', '/v1/tax-rules', { ...VAT, isInclusive: true });
    const plan = await shop.sells('Basic', [fee('119'), perCall('0.01')]);
    const inge = await shop.signsUp({ name: 'Inge' }, plan);
    await shop.itIs('2027-06-20T00:00:00Z');
    await inge.uses('100', '2027-06-20T00:00:00Z');
    await shop.itIs('2027-07-01T00:00:01Z');
    // 120.00 × 19/119 = 19.1597.
    expect(await inge.bill()).toEqual([
      'Fee = 100.00',
      'Calls = 0.84',
      'VAT 19 % of 100.84 = 19.16',
      'total = 120.00',
    ]);
    await expectBooksToBalance(shop);
  });
});

describe('one call, charged at two levels', () => {
  it('is charged to the developer by the owner, and to the owner by the platform', async () => {
    const ago = (minutes: number) => new Date(Date.now() - minutes * 60_000).toISOString();
    const platform = await stories.platform();
    const owner = await stories.opensLive();
    const ownersPlan = await owner.sells('Basic', [perCall('0.00001')]);
    const startsAt = ago(60);
    const dev = await owner.signsUp({ name: 'A developer' }, ownersPlan, { startsAt });
    const { usagePlanId } = await platform.sells('Platform', [perCall('1')]);
    const amazon = { usagePlanId, rateCardId: 'amazon-api-gateway-us-east-1' };
    const payer = await platform.signsUp({ name: 'An API owner' }, amazon, {
      startsAt,
      billedAccountId: owner.accountId,
    });
    await dev.uses('1000000', ago(1));
    for (const who of [dev, payer]) await who.asksTo('end');
    await platform.worksOff();
    expect(await dev.bill()).toEqual(['Calls = 10.00', 'total = 10.00']);
    expect(await payer.bill()).toEqual(['REST API calls = 3.50', 'total = 3.50']);
    for (const books of [owner, platform]) await expectBooksToBalance(books);
  });
});
