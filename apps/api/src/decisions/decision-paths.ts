import type { OpenAPIObject } from '@nestjs/swagger';
import { BATCH_SCHEMA, DECISION_SCHEMA } from './decision-request.js';

const allowance = {
  type: ['object', 'null'],
  required: ['limit', 'remaining', 'resetsAt'],
  properties: {
    limit: { type: 'integer' },
    remaining: { type: 'integer' },
    resetsAt: { type: 'string', format: 'date-time' },
  },
};

const DECISION = {
  type: 'object',
  required: [
    'allowed',
    'decisionId',
    'keyId',
    'customerId',
    'usagePlanId',
    'resourcePath',
    'rate',
    'quota',
  ],
  properties: {
    allowed: { type: 'boolean' },
    decisionId: { type: 'string' },
    reason: {
      type: 'string',
      enum: [
        'missing-key',
        'unknown-key',
        'disabled-key',
        'blocked-customer',
        'expired-key',
        'no-plan',
        'ip-denied',
        'ambiguous-path',
        'throttled',
        'quota-exceeded',
        'unavailable',
      ],
      description:
        'Why not; only of a refusal, as are level, status, message, errorType and retryAfterMs.',
    },
    level: {
      type: ['string', 'null'],
      enum: ['method', 'usage-plan', 'stage-method', 'account', null],
    },
    status: {
      type: 'integer',
      enum: [403, 429],
      description: 'What Amazon API Gateway answers the client.',
    },
    message: { type: 'string', enum: ['Forbidden', 'Too Many Requests', 'Limit Exceeded'] },
    errorType: { type: 'string' },
    retryAfterMs: { type: ['integer', 'null'], description: 'Null when waiting does not help.' },
    keyId: { type: ['string', 'null'] },
    customerId: { type: ['string', 'null'] },
    usagePlanId: { type: ['string', 'null'] },
    resourcePath: { type: ['string', 'null'], description: 'The template that the path matched.' },
    rate: allowance,
    quota: allowance,
    shadowed: { type: 'string', description: 'What a plan in shadow would have refused it for.' },
  },
};

const forwardAuth = (operationId: string) => ({
  operationId,
  tags: ['Decisions'],
  summary: 'Yes or no, for gateways that ask with the call itself',
  description:
    'The gateway token comes in X-Tollgate-Token, the key in X-Api-Key. Path, method and address are read from the one source that the name of the gateway stands for.',
  parameters: ['apiId', 'stage', 'gateway'].map((name) => ({
    name,
    in: 'path' as const,
    required: true,
    schema: { type: 'string' as const },
  })),
  responses: {
    '200': {
      description:
        'The call may pass; X-Tollgate-Key-Id, -Customer-Id, -Decision-Id and -Resource-Path say more, and -Shadowed what a plan in shadow would have refused it for.',
    },
    '403': {
      description:
        '{"message":"Forbidden"}; under nginx every refusal, the real one in X-Decision-Status.',
    },
    '429': { description: '{"message":"Too Many Requests"} or {"message":"Limit Exceeded"}.' },
  },
});

/** What stands beside Nest, for the OpenAPI document. */
export const DECISION_PATHS = {
  '/v1/decisions': {
    post: {
      operationId: 'Decisions.decide',
      tags: ['Decisions'],
      summary: 'May this call pass, and what is left',
      security: [{ bearer: [] }],
      requestBody: {
        required: true,
        content: { 'application/json': { schema: { oneOf: [DECISION_SCHEMA, BATCH_SCHEMA] } } },
      },
      responses: {
        '200': {
          description:
            'The decision, or all of them in the order of the questions. A refusal is an answer too.',
          content: {
            'application/json': {
              schema: {
                oneOf: [
                  DECISION,
                  {
                    type: 'object',
                    required: ['decisions'],
                    properties: { decisions: { type: 'array', items: DECISION } },
                  },
                ],
              },
            },
          },
        },
        '400': { description: 'A field is wrong; `errors` names it.' },
        '401': { description: 'No valid token.' },
        '403': { description: 'Not the token of a gateway.' },
      },
    },
  },
  '/v1/forward-auth/{apiId}/{stage}/{gateway}': {
    get: forwardAuth('ForwardAuth.get'),
    post: forwardAuth('ForwardAuth.post'),
  },
} as unknown as OpenAPIObject['paths'];
