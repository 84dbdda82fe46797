import {
  CONNECTIONS_MAX,
  DECISION_COUNTS_MAX,
  DECISION_IDS_MAX,
  INDEX_MAX,
  METERS,
  OPENED_BEFORE_DAYS_MAX,
  RECORDS_MAX,
} from '@core/metering';
import type { HotPaths } from '../openapi.js';
import { DOOR_REFUSALS, problem } from './usage-answers.js';

const text = (description: string, maxLength: number) => ({
  type: 'string',
  description,
  maxLength,
});
const acknowledgement = (description: string) => ({
  description,
  headers: {
    'X-Tollgate-Time': {
      description: "The account's business time, which records are stamped with.",
      schema: { type: 'string' as const, format: 'date-time' },
    },
  },
  content: {
    'application/json': {
      schema: {
        type: 'object' as const,
        required: ['records', 'duplicate'],
        properties: {
          records: { type: 'integer', description: 'How many the batch had.' },
          duplicate: { type: 'boolean' },
          quarantined: {
            type: 'integer',
            description:
              'How many of them are in the quarantine and not counted yet; absent when none is.',
          },
          errors: {
            type: 'array',
            description: 'Why, the first 20 faults; absent when there is none.',
            maxItems: 20,
            items: {
              type: 'object',
              required: ['pointer', 'detail'],
              properties: { pointer: { type: 'string' }, detail: { type: 'string' } },
              additionalProperties: false,
            },
          },
        },
        additionalProperties: false,
      },
    },
  },
});

const QUANTITIES = {
  type: 'object',
  description: 'Decimals in strings, by meter.',
  additionalProperties: false,
  minProperties: 1,
  properties: Object.fromEntries(METERS.map((meter) => [meter, { type: 'string', maxLength: 39 }])),
};

const PLACE = {
  type: 'object',
  description: 'A record of this gateway, which may come later.',
  additionalProperties: false,
  required: ['epoch', 'sequence', 'index'],
  properties: {
    epoch: { type: 'string', minLength: 1, maxLength: 64 },
    sequence: { type: 'integer', minimum: 0, maximum: Number.MAX_SAFE_INTEGER },
    index: {
      type: 'integer',
      minimum: 0,
      maximum: INDEX_MAX,
      description: 'Its place in the batch as it was sent, from 0.',
    },
  },
};

const CORRECTS = {
  type: 'object',
  description: 'Says what another record counts from now on; all else of that one stays.',
  additionalProperties: false,
  required: ['corrects', 'quantities'],
  properties: { corrects: PLACE, quantities: QUANTITIES },
};

const VOIDS = {
  type: 'object',
  description: 'Says that another record counts nothing.',
  additionalProperties: false,
  required: ['voids'],
  properties: { voids: PLACE },
};

const RECORD = {
  type: 'object',
  additionalProperties: false,
  required: [
    'at',
    'keyId',
    'apiId',
    'stage',
    'method',
    'resourcePath',
    'statusClass',
    'quantities',
  ],
  properties: {
    at: { type: 'string', format: 'date-time', description: 'When, in business time.' },
    keyId: text('The API key that was used.', 64),
    apiId: text('The api that was called.', 64),
    stage: text('The stage that was called.', 128),
    method: text('The verb, or the route key of a WebSocket api.', 128),
    resourcePath: text('The template, such as /pets/{petId}.', 1_536),
    statusClass: { type: 'string', enum: ['1xx', '2xx', '3xx', '4xx', '5xx'] },
    quantities: QUANTITIES,
    decisionIds: {
      type: 'array',
      description:
        'Decisions that it is made of, by which it can be found: ids, or spans `dec_…..dec_…` with both ends, which differ in their last eight characters. All records of a batch may name 50,000.',
      minItems: 1,
      maxItems: DECISION_IDS_MAX,
      items: { type: 'string', maxLength: 100 },
    },
  },
};

const CONNECTION_ID = {
  type: 'string',
  minLength: 1,
  maxLength: 64,
  description: 'Chosen by the gateway, once within its epoch.',
};

const CONNECTIONS = {
  type: 'object',
  description:
    'What the gateway tells of connections of WebSocket apis, whose connection-minutes the service counts. It is the heartbeat of the whole epoch: what was opened up to this batch, and not closed, was open at `at`. Without one for three minutes the epoch is given up on, and what is open ended with the last; a later close or heartbeat corrects that.',
  additionalProperties: false,
  required: ['at'],
  properties: {
    at: { type: 'string', format: 'date-time', description: 'Of the heartbeat, in business time.' },
    opened: {
      type: 'array',
      maxItems: CONNECTIONS_MAX,
      items: {
        type: 'object',
        additionalProperties: false,
        required: ['id', 'at', 'keyId', 'apiId', 'stage'],
        properties: {
          id: CONNECTION_ID,
          at: {
            type: 'string',
            format: 'date-time',
            description: `When it was opened, at most ${OPENED_BEFORE_DAYS_MAX} days before the heartbeat.`,
          },
          keyId: text('The API key that its minutes are charged to.', 64),
          apiId: text('Its api.', 64),
          stage: text('Its stage.', 128),
        },
      },
    },
    closed: {
      type: 'array',
      maxItems: CONNECTIONS_MAX,
      items: {
        type: 'object',
        additionalProperties: false,
        required: ['id', 'at'],
        properties: {
          id: CONNECTION_ID,
          at: { type: 'string', format: 'date-time', description: 'When it was closed.' },
        },
      },
    },
  },
};

const DECISIONS = {
  type: 'array',
  description:
    'How many calls the gateway allowed by itself, each once, for reconciliation; it is not charged. Counts of unknown keys or stages are left out.',
  maxItems: DECISION_COUNTS_MAX,
  items: {
    type: 'object',
    additionalProperties: false,
    required: ['hour', 'keyId', 'apiId', 'stage', 'method', 'resourcePath', 'allowed'],
    properties: {
      hour: { type: 'string', format: 'date-time', description: 'Of UTC, in business time.' },
      keyId: text('The API key that was used.', 64),
      apiId: text('The api that was called.', 64),
      stage: text('The stage that was called.', 128),
      method: text('The verb.', 128),
      resourcePath: text('The template, as in records.', 1_536),
      allowed: { type: 'integer', minimum: 1, maximum: Number.MAX_SAFE_INTEGER },
    },
  },
};

const OPERATION: NonNullable<HotPaths[string]['post']> = {
  operationId: 'Usage.receiveBatch',
  tags: ['Usage'],
  summary: 'Report usage',
  description:
    'Takes a numbered batch of usage records. An answer of 200 or 201 means that it is committed: records that can be counted count exactly once, each other one is in the quarantine with the reason. The body may be packed (`Content-Encoding: gzip`).',
  security: [{ bearer: [] }],
  requestBody: {
    required: true,
    content: {
      'application/json': {
        schema: {
          type: 'object',
          additionalProperties: false,
          required: ['epoch', 'sequence', 'records'],
          properties: {
            epoch: { type: 'string', minLength: 1, maxLength: 64 },
            sequence: { type: 'integer', minimum: 0, maximum: Number.MAX_SAFE_INTEGER },
            records: {
              type: 'array',
              description: 'At least one, unless there are `connections` or `decisions`.',
              maxItems: RECORDS_MAX,
              items: { anyOf: [RECORD, CORRECTS, VOIDS] },
            },
            connections: CONNECTIONS,
            decisions: DECISIONS,
          },
        },
      },
    },
  },
  responses: {
    200: acknowledgement('The batch was received before, with the same content.'),
    201: acknowledgement('The batch is stored.'),
    400: problem(
      'A field of the batch, not of a record, is missing, unknown or of the wrong form.',
    ),
    401: problem('No valid token.'),
    403: problem('Not a gateway token.'),
    409: problem('The number was used before for other records (`batch-conflict`).'),
    415: problem('Not application/json, or an encoding other than gzip.'),
    422: problem(
      'A connection names an unknown key or stage, an impossible time, or contradicts what was told of it before (`unusable-connections`). Nothing of the batch is kept.',
    ),
    ...DOOR_REFUSALS,
  },
};

/** How `POST /v1/usage/batches` is documented. */
export const USAGE_BATCHES_PATHS: HotPaths = { '/v1/usage/batches': { post: OPERATION } };
