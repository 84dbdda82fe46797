import type { OpenAPIObject } from '@nestjs/swagger';
import { LEASE_SCHEMA } from './lease-request.js';

const THROTTLE = {
  type: ['object', 'null'],
  required: ['rateLimit', 'burstLimit'],
  properties: { rateLimit: { type: 'number' }, burstLimit: { type: 'integer' } },
};
const INSTANT = { type: 'string', format: 'date-time' };
const TEXT = { type: 'string' };
const UNITS = { type: 'integer' };
const IP_POLICY = {
  type: ['object', 'null'],
  properties: {
    allow: { type: 'array', items: TEXT },
    deny: { type: 'array', items: TEXT },
  },
};

/** One answer, or null for what is not there or not the account's. */
const answer = (properties: Record<string, object>) => ({
  type: 'array',
  items: { type: ['object', 'null'], required: Object.keys(properties), properties },
});

const LEASES = {
  type: 'object',
  required: ['leaseMs', 'keys', 'stages', 'rates', 'quotas'],
  properties: {
    leaseMs: { type: 'integer', description: 'How long a rate unit may be spent.' },
    keys: answer({
      keyId: TEXT,
      customerId: TEXT,
      enabled: { type: 'boolean' },
      expiresAt: { type: ['string', 'null'], format: 'date-time' },
      ipPolicy: IP_POLICY,
      usagePlanId: { type: ['string', 'null'] },
      throttle: THROTTLE,
      quota: {
        type: ['object', 'null'],
        required: ['limit', 'periodFrom', 'periodTo'],
        properties: { limit: UNITS, periodFrom: INSTANT, periodTo: INSTANT },
      },
      accountThrottle: THROTTLE,
      clockOffsetMs: UNITS,
    }),
    stages: answer({
      plan: {
        type: 'object',
        required: ['id', 'onFailure', 'shadow'],
        properties: {
          id: TEXT,
          onFailure: { type: 'string', enum: ['deny', 'allow'] },
          shadow: { type: 'boolean' },
        },
      },
      ambiguousPath: { type: 'string', enum: ['refuse', 'strictest', 'normalise'] },
      ipPolicy: IP_POLICY,
      stageThrottle: THROTTLE,
      methods: {
        type: 'array',
        items: {
          type: 'object',
          required: ['httpMethod', 'resourcePath', 'planThrottle', 'stageThrottle', 'stageBucket'],
          properties: {
            httpMethod: TEXT,
            resourcePath: TEXT,
            planThrottle: THROTTLE,
            stageThrottle: THROTTLE,
            stageBucket: TEXT,
          },
        },
      },
    }),
    rates: answer({
      granted: UNITS,
      remaining: UNITS,
      retryAfterMs: { type: ['number', 'null'], description: 'Null: never.' },
      resetMs: { type: ['number', 'null'], description: 'Null: never.' },
    }),
    quotas: answer({
      granted: UNITS,
      remaining: UNITS,
      limit: UNITS,
      periodFrom: INSTANT,
      periodTo: INSTANT,
    }),
  },
};

/** What stands beside Nest, for the OpenAPI document. */
export const LEASE_PATHS = {
  '/v1/leases': {
    post: {
      operationId: 'Leases.ask',
      tags: ['Decisions'],
      summary: 'Policies, and blocks of rates and quotas, for a gateway that decides by itself',
      description: 'Each list is answered in its order; null stands for what is not there.',
      security: [{ bearer: [] }],
      requestBody: { required: true, content: { 'application/json': { schema: LEASE_SCHEMA } } },
      responses: {
        '200': {
          description: 'What holds now, and what was granted.',
          content: { 'application/json': { schema: LEASES } },
        },
        '400': { description: 'A field is wrong; `errors` names it.' },
        '401': { description: 'No valid token.' },
        '403': { description: 'Not the token of a gateway.' },
        '503': { description: 'An authority cannot be asked; nothing was granted.' },
      },
    },
  },
} as unknown as OpenAPIObject['paths'];
