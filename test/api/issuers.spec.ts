import { beforeAll, describe, expect, it } from 'vitest';
import { startInvoicing, type Invoicing } from '../support/invoicing.js';

let api: Invoicing['api'];
let aFinalised: Invoicing['aFinalised'];
beforeAll(async () => {
  ({ api, aFinalised } = await startInvoicing());
});

const DE = { series: 'DE', name: 'Petstore', legalName: 'Petstore GmbH', taxId: 'DE123' };
const create = (body: object) => api.call('POST', '/v1/issuers', { body });
const numberOf = async ({ path }: { path: string }) => (await api.call('GET', path)).body.number;

describe('issuers', () => {
  it('number their invoices and credit notes each by itself, beside the account', async () => {
    const { status, body: de } = await create(DE);
    expect({ status, de }).toMatchObject({ status: 201, de: { ...DE, address: null } });
    const { body: us } = await create({ series: 'US', name: 'Petstore Inc.' });
    const first = await aFinalised({ issuerId: de.id });
    const own = await aFinalised();
    const other = await aFinalised({ issuerId: us.id });
    const second = await aFinalised({ issuerId: de.id });
    const numbers = [];
    for (const one of [first, own, other, second]) numbers.push(await numberOf(one));
    expect(numbers).toEqual(['DE-000001', 'TG-000001', 'US-000001', 'DE-000002']);
    expect((await api.call('GET', second.path)).body.issuer).toMatchObject({
      legalName: 'Petstore GmbH',
      taxId: 'DE123',
    });
    const body = { reason: 'x' };
    const note = await api.call('POST', `${second.path}/credit-notes`, { body });
    expect(note.body).toMatchObject({ number: 'DECN-000001' });
  });

  it('change on what comes, and on no invoice that is final', async () => {
    const { body: issuer } = await create({ series: 'FR', name: 'Animalerie' });
    const final = await aFinalised({ issuerId: issuer.id });
    const change = { address: 'Rue 2, Paris' };
    const changed = await api.call('PATCH', `/v1/issuers/${issuer.id}`, { body: change });
    expect(changed).toMatchObject({ status: 200, body: { ...change, series: 'FR' } });
    const next = await aFinalised({ issuerId: issuer.id });
    expect((await api.call('GET', final.path)).body.issuer.address).toBeNull();
    expect((await api.call('GET', next.path)).body.issuer).toMatchObject(change);
  });

  it.each(['TG', 'CN', 'XCN', 'de', 'TOOLONGSERIES'])(
    'answers 400 to the series %s',
    async (series) => {
      const { status, body } = await create({ series, name: 'x' });
      expect({ status, errors: body['errors'] }).toMatchObject({
        status: 400,
        errors: [{ pointer: '/series' }],
      });
    },
  );

  it('answers 409 to a series that another has, 400 to a subscription with none of ours', async () => {
    await create({ series: 'ES', name: 'x' });
    expect(await create({ series: 'ES', name: 'y' })).toMatchObject({
      status: 409,
      body: { series: 'ES' },
    });
    const body = { customerId: 'x', usagePlanId: 'x', rateCardId: 'x', issuerId: 'iss_none' };
    const refused = await api.call('POST', '/v1/subscriptions', { body });
    const pointers = refused.body['errors'].map(({ pointer }: { pointer: string }) => pointer);
    expect(pointers).toContain('/issuerId');
  });
});
