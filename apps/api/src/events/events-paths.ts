import { EVENTS_MAX } from '@core/metering';
import type { HotPaths } from '../openapi.js';
import { DOOR_REFUSALS, problem } from '../usage/usage-answers.js';

const acknowledgement = (description: string) => ({
  description,
  headers: {
    'X-Tollgate-Time': {
      description: "The account's business time.",
      schema: { type: 'string' as const, format: 'date-time' },
    },
  },
  content: {
    'application/json': {
      schema: {
        type: 'object' as const,
        required: ['accepted', 'duplicates', 'results'],
        properties: {
          accepted: { type: 'integer' },
          duplicates: { type: 'integer' },
          results: {
            type: 'array',
            description: 'What became of each event, in their order.',
            items: { type: 'string', enum: ['accepted', 'duplicate'] },
          },
        },
        additionalProperties: false,
      },
    },
  },
});

const text = (description: string) => ({
  type: 'string',
  minLength: 1,
  maxLength: 1_024,
  description,
});

const EVENT = {
  type: 'object',
  description:
    'An event of CloudEvents 1.0. Extension attributes have lower-case letters and digits in their names.',
  required: ['specversion', 'id', 'source', 'type'],
  properties: {
    specversion: { type: 'string', enum: ['1.0'] },
    id: text('With `source` what the event is known by, for ever.'),
    source: text('A URI-reference.'),
    type: text('The event type of at least one meter.'),
    subject: text(
      'Who is charged: the id of an API key or of a customer, unless `tollgatekeyid` says so.',
    ),
    time: {
      type: 'string',
      format: 'date-time',
      description: 'When it happened; now when left out.',
    },
    datacontenttype: text('JSON when left out.'),
    dataschema: text('A URI.'),
    tollgatekeyid: text('The API key that is charged; `subject` is free then.'),
    tollgateapiid: text('The api that was used, with `tollgatestage`.'),
    tollgatestage: text('The stage that was used, with `tollgateapiid`.'),
    tollgateplanid: text(
      'The usage plan that it is rated by, where a key or customer has several.',
    ),
    data: { description: 'What happened.' },
    data_base64: { type: 'string', description: 'The same as bytes.' },
  },
};

const OPERATION: NonNullable<HotPaths[string]['post']> = {
  operationId: 'Events.receive',
  tags: ['Events'],
  summary: 'Report events',
  description:
    'Takes events of CloudEvents 1.0 for the meters of the account: one in structured mode, a batch, or one in binary mode (`ce-` header fields, any content type). All of them or none. An answer of 200 or 201 means that they are committed, and each (source, id) counts exactly once, for ever. The body may be packed (`Content-Encoding: gzip`).',
  security: [{ bearer: [] }],
  requestBody: {
    required: true,
    content: {
      'application/cloudevents+json': { schema: EVENT },
      'application/cloudevents-batch+json': {
        schema: { type: 'array', maxItems: EVENTS_MAX, items: EVENT },
      },
    },
  },
  responses: {
    200: acknowledgement('All events came before, with the same content.'),
    201: acknowledgement('At least one event is new.'),
    400: problem('An event is none of CloudEvents 1.0.'),
    401: problem('No valid token.'),
    403: problem('Not a gateway token.'),
    409: problem('An event came before with other content (`event-conflict`). None is kept.'),
    415: problem('No event of CloudEvents, not as JSON, or an encoding other than gzip.'),
    422: problem(
      'An event names nobody to charge, has no meter, no value, or an impossible time (`unusable-events`). None is kept.',
    ),
    ...DOOR_REFUSALS,
  },
};

/** How `POST /v1/events` is documented. */
export const EVENTS_PATHS: HotPaths = { '/v1/events': { post: OPERATION } };
