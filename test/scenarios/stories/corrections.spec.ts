import { beforeAll, describe, expect, it } from 'vitest';
import { expectBooksToBalance } from '../../support/books.js';
import { calls, fee, perCall, startStories, type Stories } from '../../support/business.js';

let stories: Stories;
beforeAll(async () => {
  stories = await startStories();
});

const VAT = { name: 'VAT', category: 'standard', ratePercent: '19' };

describe('usage that is reported after its invoice was final, by volume prices', () => {
  it('gives money back where more costs less, and asks for it again where it costs more', async () => {
    const shop = await stories.opens('2027-06-01T00:00:00Z');
    const volume = calls({
      model: 'volume',
      tiers: [
        { upTo: '1000', unitAmount: '0.01' },
        { upTo: null, unitAmount: '0.005' },
      ],
    });
    const plan = await shop.sells('Basic', [fee('10'), volume]);
    const vic = await shop.signsUp({ name: 'Vic' }, plan);
    await shop.itIs('2027-06-15T00:00:00Z');
    await vic.uses('1000', '2027-06-15T00:00:00Z');
    await shop.itIs('2027-07-01T00:00:01Z');
    await shop.itIs('2027-07-02T00:00:02Z');
    const june = await vic.invoice();
    expect(june).toMatchObject({ status: 'finalised', total: { amount: '20.00' } });

    // 1,500 calls of June are 7.50, of which 10.00 were asked for.
    await vic.uses('500', '2027-06-20T00:00:00Z');
    await shop.itIs('2027-08-01T00:00:01Z');
    expect(await vic.bill()).toEqual([
      'Fee = 10.00',
      'Calls: adjustment for 2027-06-01 to 2027-06-30 = -2.50',
      'total = 7.50',
    ]);
    await shop.itIs('2027-08-02T00:00:02Z');
    // 1,600 calls are 8.00, of which 7.50 were asked for by now.
    await vic.uses('100', '2027-06-21T00:00:00Z');
    await shop.itIs('2027-09-01T00:00:01Z');
    expect(await vic.bill()).toEqual([
      'Fee = 10.00',
      'Calls: adjustment for 2027-06-01 to 2027-06-30 = 0.50',
      'total = 10.50',
    ]);
    expect(await vic.invoice(0)).toEqual(june);
    await expectBooksToBalance(shop);
  });
});

describe('an invoice with the wrong name on it', () => {
  it('is made void and issued again under a new number, and stays as it was', async () => {
    const shop = await stories.opens('2027-06-01T00:00:00Z');
    const plan = await shop.sells('Basic', [fee('30'), perCall('0.01')]);
    const kit = await shop.signsUp({ name: 'Kit' }, plan);
    await shop.itIs('2027-07-01T00:00:01Z');
    await shop.itIs('2027-07-02T00:00:02Z');
    const wrong = await kit.invoice();
    expect(wrong).toMatchObject({ number: 'TG-000001', recipient: { legalName: null } });

    await shop.call('PATCH', `/v1/customers/${kit.customerId}`, { legalName: 'Kit Ltd' });
    await kit.with('void');
    const draft = await kit.with('reissue', undefined, wrong);
    const right = await kit.with('finalise', undefined, draft);
    expect(right).toMatchObject({
      number: 'TG-000002',
      recipient: { legalName: 'Kit Ltd' },
      period: wrong.period,
      total: wrong.total,
    });
    const { status, due, ...said } = wrong;
    expect([status, due.amount]).toEqual(['finalised', '30.00']);
    expect(await shop.call('GET', `/v1/invoices/${wrong.id}`)).toMatchObject({
      ...said,
      status: 'void',
      due: { amount: '0.00' },
    });
    expect(await kit.owes()).toEqual({ receivable: '30.00', credit: '0.00' });
    await expectBooksToBalance(shop);
  });
});

describe('an outage that is made good', () => {
  it('by a credit note over a part, and one over the rest, leaves nothing, to the cent of the tax', async () => {
    const shop = await stories.opens('2027-06-01T00:00:00Z');
    await shop.call('POST', '/v1/tax-rules', VAT);
    const plan = await shop.sells('Basic', [fee('100'), perCall('0.01')]);
    const ola = await shop.signsUp({ name: 'Ola' }, plan);
    await shop.itIs('2027-06-30T00:00:00Z');
    await ola.uses('3333', '2027-06-30T00:00:00Z');
    await shop.itIs('2027-07-01T00:00:01Z');
    await shop.itIs('2027-07-02T00:00:02Z');
    // 19 % of 133.33 are 25.3327.
    expect(await ola.bill()).toEqual([
      'Fee = 100.00',
      'Calls = 33.33',
      'VAT 19 % of 133.33 = 25.33',
      'total = 158.66',
    ]);
    const invoice = await ola.invoice();
    const note = (body: object) =>
      shop.call('POST', `/v1/invoices/${invoice.id}/credit-notes`, { reason: 'Outage', ...body });
    const lines = [{ lineId: invoice.lines[0]?.id, amount: '33.33' }];
    // 19 % of 33.33 are 6.3327.
    expect(await note({ lines })).toMatchObject({
      number: 'CN-000001',
      tax: { amount: '6.33' },
      total: { amount: '39.66' },
    });
    expect(await ola.invoice()).toMatchObject({ due: { amount: '119.00' } });
    const tooMuch = [{ lineId: invoice.lines[0]?.id, amount: '66.68' }];
    const refused = await shop.tries('POST', `/v1/invoices/${invoice.id}/credit-notes`, {
      reason: 'Outage',
      lines: tooMuch,
    });
    expect(refused.status).toBe(409);
    // The rest: 100.00, and 25.33 less 6.33 of tax.
    expect(await note({})).toMatchObject({
      number: 'CN-000002',
      subtotal: { amount: '100.00' },
      tax: { amount: '19.00' },
      total: { amount: '119.00' },
    });
    expect(await ola.invoice()).toMatchObject({ status: 'paid', due: { amount: '0.00' } });
    expect(await ola.ledger()).toEqual({});
    await expectBooksToBalance(shop);
  });

  it('after it was paid, is owed to the customer, and pays what comes next', async () => {
    const shop = await stories.opens('2027-06-01T00:00:00Z');
    await shop.call('POST', '/v1/tax-rules', VAT);
    const plan = await shop.sells('Basic', [fee('100')]);
    const ray = await shop.signsUp({ name: 'Ray' }, plan);
    await shop.itIs('2027-07-01T00:00:01Z');
    await shop.itIs('2027-07-02T00:00:02Z');
    await ray.with('pay');
    const { id } = await ray.invoice();
    await shop.call('POST', `/v1/invoices/${id}/credit-notes`, { reason: 'Outage' });
    expect(await ray.owes()).toEqual({ receivable: '0.00', credit: '119.00' });
    // 15 of 31 days of July are 48.39, and 19 % of them 9.1941.
    await shop.itIs('2027-07-15T12:00:00Z');
    await ray.asksTo('cancel', { at: 'now' });
    await shop.itIs('2027-07-15T12:00:01Z');
    await shop.itIs('2027-07-16T12:00:02Z');
    expect(await ray.bill()).toEqual(['Fee = 48.39', 'VAT 19 % of 48.39 = 9.19', 'total = 57.58']);
    const payment = { amount: '57.58', method: 'customer-credit', reference: 'from credit' };
    await ray.with('payments', payment);
    expect(await ray.invoice()).toMatchObject({ status: 'paid', due: { amount: '0.00' } });
    expect(await ray.owes()).toEqual({ receivable: '0.00', credit: '61.42' });
    await expectBooksToBalance(shop);
  });
});

describe('a draft that a person looks at', () => {
  it('takes a goodwill line, is approved, is approved again after late usage, and then becomes final', async () => {
    const shop = await stories.opens('2027-06-01T00:00:00Z');
    await shop.call('PATCH', '/v1/invoice-settings', { requiresApproval: true });
    const plan = await shop.sells('Basic', [fee('30'), perCall('0.01')]);
    const una = await shop.signsUp({ name: 'Una' }, plan);
    await shop.itIs('2027-06-30T00:00:00Z');
    await una.uses('100', '2027-06-30T00:00:00Z');
    await shop.itIs('2027-07-01T00:00:01Z');
    const goodwill = { description: 'Goodwill', amount: '-5', reason: 'Ticket 17' };
    await una.with('lines', goodwill);
    await una.with('approve');
    expect(await una.bill()).toEqual([
      'Fee = 30.00',
      'Calls = 1.00',
      'Goodwill = -5.00',
      'total = 26.00',
    ]);
    await shop.itIs('2027-07-01T12:00:00Z');
    await una.uses('100', '2027-06-30T23:59:59Z');
    await shop.itIs('2027-07-02T00:00:02Z');
    // What was approved is not what it says now.
    expect(await una.invoice()).toMatchObject({ status: 'draft', approvedAt: null });
    await una.with('approve');
    await shop.worksOff();
    expect(await una.invoice()).toMatchObject({ status: 'finalised', number: 'TG-000001' });
    expect(await una.bill()).toEqual([
      'Fee = 30.00',
      'Calls = 2.00',
      'Goodwill = -5.00',
      'total = 27.00',
    ]);
    const { id } = await una.invoice();
    expect((await shop.tries('POST', `/v1/invoices/${id}/lines`, goodwill)).status).toBe(409);
    await expectBooksToBalance(shop);
  });
});

describe('what-if', () => {
  const CARD = [
    fee('10'),
    calls({
      model: 'graduated',
      tiers: [
        { upTo: '1000', unitAmount: '0.01' },
        { upTo: null, unitAmount: '0.005' },
      ],
    }),
  ];
  const DRAFT = [fee('12'), perCall('0.008')];

  it('says the real bills under the real card, and under another what that comes to be', async () => {
    const shop = await stories.opens('2027-06-01T00:00:00Z');
    const plan = await shop.sells('Basic', CARD);
    const buyers = [
      { who: await shop.signsUp({ name: 'A' }, plan), uses: '500', now: '15.00', after: '16.00' },
      { who: await shop.signsUp({ name: 'B' }, plan), uses: '1500', now: '22.50', after: '24.00' },
      { who: await shop.signsUp({ name: 'C' }, plan), uses: null, now: '10.00', after: '12.00' },
    ];
    const ask = async (items: object[]) => {
      const span = { from: '2027-06-01T00:00:00Z', to: '2027-07-01T00:00:00Z' };
      const csv = await shop.call('POST', '/v1/what-if', { currency: 'USD', items, ...span });
      const [, ...rows] = (csv as unknown as string).trimEnd().split('\r\n');
      return rows.map((row) => row.split(',').slice(1, 7).join(' ')).toSorted();
    };
    const month = async (day: string, end: string) => {
      await shop.itIs(day);
      for (const { who, uses } of buyers) if (uses !== null) await who.uses(uses, day);
      await shop.itIs(end);
    };
    await month('2027-06-20T00:00:00Z', '2027-07-01T00:00:01Z');
    for (const { who, now } of buyers) expect((await who.invoice()).total.amount).toBe(now);
    expect(await ask(CARD)).toEqual([
      'A 1 USD 15.00 15.00 0.00',
      'B 1 USD 22.50 22.50 0.00',
      'C 1 USD 10.00 10.00 0.00',
    ]);
    expect(await ask(DRAFT)).toEqual([
      'A 1 USD 15.00 16.00 1.00',
      'B 1 USD 22.50 24.00 1.50',
      'C 1 USD 10.00 12.00 2.00',
    ]);

    // They are moved to those prices, and use as much again.
    const card = `/v1/rate-cards/${plan.rateCardId}`;
    await shop.call('POST', `${card}/versions`, { items: DRAFT });
    await shop.call('POST', `${card}/migrations`, { fromVersion: 1 });
    await shop.itIs('2027-08-01T00:00:01Z');
    await month('2027-08-20T00:00:00Z', '2027-09-01T00:00:01Z');
    for (const { who, after } of buyers) expect((await who.invoice()).total.amount).toBe(after);
    await expectBooksToBalance(shop);
  });
});

describe('a gateway that counted twice', () => {
  it('is corrected after the invoice was final, and the difference goes off the next one', async () => {
    const shop = await stories.opens('2027-06-01T00:00:00Z');
    const plan = await shop.sells('Basic', [fee('10'), perCall('0.01')]);
    const dot = await shop.signsUp({ name: 'Dot' }, plan);
    await shop.itIs('2027-06-20T00:00:00Z');
    const record = await dot.uses('200', '2027-06-20T00:00:00Z');
    await shop.itIs('2027-07-01T00:00:01Z');
    await shop.itIs('2027-07-02T00:00:02Z');
    expect(await dot.bill()).toEqual(['Fee = 10.00', 'Calls = 2.00', 'total = 12.00']);
    const corrections = [{ ...record, quantities: { calls: '100' } }];
    await shop.call('POST', '/v1/usage/corrections', { corrections, reason: 'Counted twice' });
    await shop.itIs('2027-08-01T00:00:01Z');
    expect(await dot.bill()).toEqual([
      'Fee = 10.00',
      'Calls: adjustment for 2027-06-01 to 2027-06-30 = -1.00',
      'total = 9.00',
    ]);
    await expectBooksToBalance(shop);
  });
});

describe('a batch that got lost on its way', () => {
  it('holds the invoice until a person gives it up; when it comes after all it is charged later', async () => {
    const shop = await stories.opens('2027-06-01T00:00:00Z');
    const plan = await shop.sells('Basic', [fee('10'), perCall('0.01')]);
    const gus = await shop.signsUp({ name: 'Gus' }, plan);
    await shop.itIs('2027-06-20T00:00:00Z');
    await gus.uses('100', '2027-06-20T00:00:00Z');
    const lost = shop.losesABatch();
    await gus.uses('200', '2027-06-20T00:01:00Z');
    await shop.itIs('2027-07-01T00:00:01Z');
    await shop.itIs('2027-07-02T00:00:02Z');
    expect(await gus.invoice()).toMatchObject({ status: 'draft', heldFor: 'usage-gap' });
    const { id } = await gus.invoice();
    expect((await shop.tries('POST', `/v1/invoices/${id}/finalise`)).status).toBe(409);
    const { sequence: first, ...gap } = lost;
    const waiver = { ...gap, first, last: first, reason: 'The disk is gone' };
    await shop.call('POST', '/v1/usage/gap-waivers', waiver);
    expect(await gus.with('finalise')).toMatchObject({ total: { amount: '13.00' } });

    await shop.reports(gus.keyId, '2027-06-20T12:00:00Z', { calls: '50' }, first);
    await shop.itIs('2027-08-01T00:00:01Z');
    expect(await gus.bill()).toEqual([
      'Fee = 10.00',
      'Calls: adjustment for 2027-06-01 to 2027-06-30 = 0.50',
      'total = 10.50',
    ]);
    await expectBooksToBalance(shop);
  });
});
