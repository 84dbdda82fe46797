// @ts-check
/** What the demo is about: one api, three plans, a customer on each, and what they pay. */

export const API_NAME = 'Petstore';
export const STAGE = 'prod';

/**
 * The plans and who is on them. Each rate card is priced by another model, in its customer's currency.
 *
 * The professional plan's daily quota can be used up in seconds, so that a demo can show it.
 */
export const OFFERS = [
  {
    plan: {
      name: 'basic',
      description: '1,000 calls a day at 5 per second.',
      throttle: { rateLimit: 5, burstLimit: 10 },
      quota: { limit: 1_000, period: 'DAY' },
    },
    customer: {
      name: 'Aurora Apps',
      legalName: 'Aurora Apps, Inc.',
      email: 'billing@aurora.example',
      address: '12 Harbor Street\nBoston, MA 02110\nUnited States',
      currency: 'USD',
      timezone: 'America/New_York',
    },
    rateCard: {
      name: 'Petstore basic',
      currency: 'USD',
      items: [
        { id: 'fee', description: 'Basic plan', price: flat('9') },
        {
          id: 'calls',
          meter: 'calls',
          description: 'API calls, the first 20 free',
          price: {
            model: 'graduated',
            tiers: [
              { upTo: '20', unitAmount: '0' },
              { upTo: '1000', unitAmount: '0.015' },
              { upTo: null, unitAmount: '0.01' },
            ],
          },
        },
      ],
    },
  },
  {
    plan: {
      name: 'professional',
      description: '2,000 calls a day at 500 per second.',
      throttle: { rateLimit: 500, burstLimit: 1_000 },
      quota: { limit: 2_000, period: 'DAY' },
    },
    customer: {
      name: 'Borealis',
      legalName: 'Borealis GmbH',
      email: 'rechnung@borealis.example',
      address: 'Lindenstraße 7\n10969 Berlin\nGermany',
      currency: 'EUR',
      timezone: 'Europe/Berlin',
    },
    rateCard: {
      name: 'Petstore professional',
      currency: 'EUR',
      items: [
        { id: 'fee', description: 'Professional plan', price: flat('49') },
        {
          id: 'calls',
          meter: 'calls',
          description: 'API calls, in packages of 750',
          price: { model: 'package', packageSize: '750', packageAmount: '5', freeUnits: '0' },
        },
      ],
    },
  },
  {
    plan: {
      name: 'enterprise',
      description: 'No quota, 2,000 calls per second.',
      throttle: { rateLimit: 2_000, burstLimit: 4_000 },
    },
    customer: {
      name: 'Cumulus',
      legalName: 'Cumulus K.K.',
      email: 'keiri@cumulus.example',
      address: '2-4-1 Marunouchi, Chiyoda-ku\nTokyo 100-0005\nJapan',
      currency: 'JPY',
      timezone: 'Asia/Tokyo',
    },
    rateCard: {
      name: 'Petstore enterprise',
      currency: 'JPY',
      items: [
        { id: 'fee', description: 'Enterprise plan', price: flat('30000') },
        {
          id: 'calls',
          meter: 'calls',
          description: 'API calls',
          price: {
            model: 'volume',
            tiers: [
              { upTo: '1000', unitAmount: '1.5' },
              { upTo: null, unitAmount: '1.2' },
            ],
          },
        },
        {
          id: 'bytes-out',
          meter: 'bytes-out',
          description: 'Traffic out, per kB',
          price: {
            model: 'per-unit',
            unitAmount: '0.35',
            convert: { divideBy: '1000', round: 'none' },
          },
        },
      ],
    },
  },
];

/** @param {string} amount */
function flat(amount) {
  return { model: 'flat', amount, paymentTerm: 'in-arrears' };
}
