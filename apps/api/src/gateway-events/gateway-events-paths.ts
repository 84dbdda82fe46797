import type { OpenAPIObject } from '@nestjs/swagger';

/** What stands beside Nest, for the OpenAPI document. */
export const GATEWAY_EVENTS_PATHS = {
  '/v1/gateway/events': {
    get: {
      operationId: 'GatewayEvents.follow',
      tags: ['Decisions'],
      summary: 'News of policies that changed, as server-sent events',
      description:
        'Never ends by itself. `reset`: forget every policy. `change`: forget the key that `data` names, or with `{}` everything of the account. A comment comes every ten seconds.',
      security: [{ bearer: [] }],
      parameters: [
        {
          name: 'Last-Event-ID',
          in: 'header' as const,
          required: false,
          description: 'The last event that was heard; what followed it is sent first.',
          schema: { type: 'string' as const },
        },
      ],
      responses: {
        '200': {
          description: 'The stream.',
          content: { 'text/event-stream': { schema: { type: 'string' as const } } },
        },
        '401': { description: 'No valid token.' },
        '403': { description: 'Not the token of a gateway.' },
        '429': { description: 'The account has too many streams open at this process.' },
        '503': { description: 'The process does not hear of changes at the moment.' },
      },
    },
  },
} as unknown as OpenAPIObject['paths'];
