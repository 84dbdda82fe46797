import { beforeAll, describe, expect, it } from 'vitest';
import { startMarketplace, type MeteredMarketplace } from '../support/metered-marketplace.js';

let market: MeteredMarketplace;
beforeAll(async () => {
  market = await startMarketplace();
});

/** As if nobody had looked at the hours of products since then, or begun again to look then; by the system's clock. */
const lookedAt = (column: 'looked_at' | 'resumed_at', minutesAgo: number) =>
  market.db.query(`UPDATE marketplace_product SET ${column} = now() - $1 * interval '1 minute'`, [
    minutesAgo,
  ]);

describe('the end of a month', () => {
  it('reaches AWS before 06:00 with what was used at 23:59, though the service was down from 00:10 to 05:00', async () => {
    await market.moveTo('2027-03-31T21:30:00Z');
    const product = await market.product();
    const buyer = await market.buyer(product);
    await market.seal();
    await market.moveTo('2027-04-01T00:10:00Z');
    await market.seal();
    await lookedAt('looked_at', 290);

    // Up again. The gateway has kept what it could not report.
    await market.moveTo('2027-04-01T05:00:00Z');
    expect(await market.seal()).toBe(0);
    const { keyId, apiId, stage } = buyer;
    const call = { method: 'GET', resourcePath: '/pets', statusClass: '2xx' };
    const records = [
      { at: '2027-03-31T22:10:00Z', keyId, apiId, stage, ...call, quantities: { calls: '3' } },
      { at: '2027-03-31T23:59:59Z', keyId, apiId, stage, ...call, quantities: { calls: '41' } },
      { at: '2027-04-01T00:05:00Z', keyId, apiId, stage, ...call, quantities: { calls: '7' } },
    ];
    const body = { epoch: 'kept', sequence: 0, records };
    const token = market.api.gatewayToken;
    expect((await market.api.call('POST', '/v1/usage/batches', { token, body })).status).toBe(201);
    await lookedAt('resumed_at', 11);
    await market.moveTo('2027-04-01T05:11:00Z');
    await market.seal();
    await market.send();

    const taken = [...market.aws.taken.values()].filter(
      (one) => one.CustomerIdentifier === buyer.customerIdentifier,
    );
    const billed = taken.map(({ Timestamp, Quantity }) => [
      new Date(Timestamp * 1000).toISOString(),
      Quantity,
    ]);
    expect(billed).toEqual(
      expect.arrayContaining([
        // The hour of 22:10 was sealed before the service went down, so it is with the next.
        ['2027-03-31T23:00:00.000Z', 44],
        ['2027-04-01T00:00:00.000Z', 7],
      ]),
    );
    expect(billed).toHaveLength(2);
    expect(market.aws.seen.every(({ at }) => at < new Date('2027-04-01T06:00:00Z'))).toBe(true);
  });

  it('waits for no gateway in the last half hour, and puts what comes after the wall into the new month', async () => {
    await market.moveTo('2027-04-30T21:30:00Z');
    const buyer = await market.buyer(await market.product());
    await market.seal();
    await market.use(buyer, '2027-04-30T23:00:00Z', '5');
    await lookedAt('looked_at', 400);
    await market.moveTo('2027-05-01T05:31:00Z');
    await market.seal();
    await market.send();
    await market.use(buyer, '2027-04-30T23:00:00Z', '2');
    await lookedAt('resumed_at', 60);
    await market.moveTo('2027-05-01T08:01:00Z');
    await market.seal();
    await market.send();
    const records = await market.records(buyer.agreementId);
    expect(
      records.map(({ hour, quantity, state }) => [hour.slice(5, 13), quantity, state]),
    ).toEqual([
      ['04-30T23', 5, 'accepted'],
      ['05-01T00', 2, 'accepted'],
    ]);
  });
});
