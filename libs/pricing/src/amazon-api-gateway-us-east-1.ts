import type { RateCard, RateCardPrice } from './rate-card.js';

/**
 * Amazon's price of a cache by its size in GB, per hour. It is not in proportion to the size, so each size has a
 * meter of its own; dividing its GB-hours by the size gives the hours it ran.
 */
const CACHE_PER_HOUR = {
  '0.5': '0.020',
  '1.6': '0.038',
  '6.1': '0.20',
  '13.5': '0.25',
  '28.4': '0.50',
  '58.2': '1.00',
  '118': '1.90',
  '237': '3.80',
};

const CACHE_PRICES: RateCardPrice[] = Object.entries(CACHE_PER_HOUR).map(([size, perHour]) => ({
  meter: `cache-gb-hours-${size}`,
  description: `Cache of ${size} GB, per hour`,
  price: { model: 'per-unit', unitAmount: perHour, convert: { divideBy: size } },
}));

/** Amazon API Gateway's public prices in us-east-1, read in 2026, without the free tier of the first year. */
export const AMAZON_API_GATEWAY_US_EAST_1: RateCard = {
  name: 'amazon-api-gateway-us-east-1',
  currency: 'USD',
  prices: [
    {
      meter: 'calls',
      protocol: 'REST',
      description: 'REST API calls',
      price: {
        model: 'graduated',
        tiers: [
          { upTo: '333000000', unitAmount: '0.0000035' },
          { upTo: '1000000000', unitAmount: '0.0000028' },
          { upTo: '20000000000', unitAmount: '0.00000238' },
          { upTo: null, unitAmount: '0.00000151' },
        ],
      },
    },
    {
      meter: 'http-units',
      protocol: 'HTTP',
      description: 'HTTP API calls, per 512 KiB',
      price: {
        model: 'graduated',
        tiers: [
          { upTo: '300000000', unitAmount: '0.000001' },
          { upTo: null, unitAmount: '0.0000009' },
        ],
      },
    },
    {
      meter: 'messages',
      protocol: 'WEBSOCKET',
      description: 'WebSocket messages, per 32 KiB',
      price: {
        model: 'graduated',
        tiers: [
          { upTo: '1000000000', unitAmount: '0.000001' },
          { upTo: null, unitAmount: '0.0000008' },
        ],
      },
    },
    {
      meter: 'connection-minutes',
      protocol: 'WEBSOCKET',
      description: 'WebSocket connection minutes',
      price: { model: 'per-unit', unitAmount: '0.00000025' },
    },
    {
      // Amazon's GB is binary: 5 million answers of 3 KB are 14.3 GB.
      meter: 'bytes-out',
      description: 'Data transfer out, per GiB',
      price: { model: 'per-unit', unitAmount: '0.09', convert: { divideBy: '1073741824' } },
    },
    ...CACHE_PRICES,
  ],
};
