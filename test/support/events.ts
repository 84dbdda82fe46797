import type { TestApi } from './api.js';

let events = 0;

/** An event that happened a minute ago, in the JSON format; whom it is charged to and what it counts is the test's. */
export function anEvent(overrides: Record<string, unknown> = {}): Record<string, unknown> {
  events += 1;
  return {
    specversion: '1.0',
    id: `event-${events}`,
    source: '/tests',
    type: 'chat',
    time: new Date(Date.now() - 60_000).toISOString(),
    data: {},
    ...overrides,
  };
}

/** Sends a batch of events as the gateway. */
export const sendEvents = (
  api: TestApi,
  batch: readonly unknown[],
  token: string | null = api.gatewayToken,
) =>
  api.call('POST', '/v1/events', {
    token,
    body: batch,
    headers: { 'content-type': 'application/cloudevents-batch+json' },
  });

/** Sends one event in structured mode. */
export const sendEvent = (
  api: TestApi,
  event: unknown,
  contentType = 'application/cloudevents+json',
) =>
  api.call('POST', '/v1/events', {
    token: api.gatewayToken,
    body: event,
    headers: { 'content-type': contentType },
  });

/** Sends one event in binary mode. */
export const sendBinary = (
  api: TestApi,
  headers: Readonly<Record<string, string>>,
  data?: unknown,
) =>
  api.call('POST', '/v1/events', {
    token: api.gatewayToken,
    ...(data === undefined ? {} : { body: data }),
    headers,
  });
