import { Webhook } from 'standardwebhooks';
import { describe, expect, it } from 'vitest';
import { newWebhookSecret, signedHeaders } from './webhook-signature.js';

const event = () => ({
  id: 'evt_1',
  body: '{"type":"usage.alert.crossed","data":{"name":"Zoë"}}',
  at: new Date(),
});

describe('signedHeaders', () => {
  it('is what the library of Standard Webhooks accepts, and signs itself', () => {
    const [secret, one] = [newWebhookSecret(), event()];
    const headers = signedHeaders(one, [secret]);
    expect(new Webhook(secret).verify(one.body, headers)).toEqual(JSON.parse(one.body));
    expect(headers['webhook-signature']).toBe(new Webhook(secret).sign(one.id, one.at, one.body));
  });

  it('is accepted by whoever has the old secret or the new one while both hold', () => {
    const [old, fresh, one] = [newWebhookSecret(), newWebhookSecret(), event()];
    const headers = signedHeaders(one, [fresh, old]);
    for (const secret of [old, fresh])
      expect(new Webhook(secret).verify(one.body, headers)).toBeTruthy();
    expect(() => new Webhook(newWebhookSecret()).verify(one.body, headers)).toThrow('No matching');
  });

  it.each([
    { change: { 'webhook-id': 'evt_2' }, body: undefined, why: 'another id' },
    { change: {}, body: '{"type":"other"}', why: 'another body' },
    {
      change: { 'webhook-timestamp': String(Math.floor(Date.now() / 1_000) - 60) },
      body: undefined,
      why: 'another time',
    },
  ])('is refused with $why', ({ change, body }) => {
    const [secret, one] = [newWebhookSecret(), event()];
    const headers = { ...signedHeaders(one, [secret]), ...change };
    expect(() => new Webhook(secret).verify(body ?? one.body, headers)).toThrow('No matching');
  });

  it('has a secret of 32 bytes that nobody has seen', () => {
    const secrets = Array.from({ length: 100 }, newWebhookSecret);
    expect(new Set(secrets).size).toBe(100);
    for (const secret of secrets) expect(Buffer.from(secret.slice(6), 'base64')).toHaveLength(32);
  });
});
