import { randomBytes } from 'node:crypto';
import { connect } from 'node:net';
import { gzipSync } from 'node:zlib';
import { Config } from '@io/platform';
import { UsageIntake } from '@io/metering';
import pg from 'pg';
import { beforeAll, describe, expect, it } from 'vitest';
import { afterFile } from '../support/after-file.js';
import { startApi, type TestApi } from '../support/api.js';
import { controlPlane } from '../support/control-plane.js';
import { anEvent } from '../support/events.js';
import { aKeyInPlan, defaultAccount } from '../support/factories.js';
import { readAnswer, sendRaw } from '../support/raw-http.js';

let api: TestApi;
let owner: Awaited<ReturnType<typeof aKeyInPlan>>;
let intake: UsageIntake;
let count = 0;

beforeAll(async () => {
  api = await startApi();
  const db = new pg.Pool({ connectionString: api.databaseUrl, max: 3 });
  afterFile(() => db.end());
  owner = await aKeyInPlan(db, await defaultAccount(db));
  await controlPlane(api).meter({ name: 'chats', aggregation: 'count', eventType: 'chat' });
  intake = api.app.get(UsageIntake, { strict: false });
});

const aBatch = () => ({
  epoch: `epoch-${(count += 1)}`,
  sequence: 0,
  records: [
    {
      at: new Date(Date.now() - 60_000).toISOString(),
      keyId: owner.keyId,
      apiId: owner.apiId,
      stage: owner.stage,
      method: 'GET',
      resourcePath: '/pets',
      statusClass: '2xx',
      quantities: { calls: '1' },
    },
  ],
});

describe.each([
  {
    path: '/v1/usage/batches',
    type: 'application/json',
    usage: aBatch,
    again: { duplicate: true },
  },
  {
    path: '/v1/events',
    type: 'application/cloudevents-batch+json',
    usage: () => [anEvent({ subject: owner.keyId })],
    again: { duplicates: 1 },
  },
])('POST $path', ({ path, type, usage, again }) => {
  const send = async (
    bytes: Buffer | string,
    headers: Readonly<Record<string, string>> = { 'content-encoding': 'gzip' },
  ) => {
    const answer = await fetch(`${api.url}${path}`, {
      method: 'POST',
      headers: { authorization: `Bearer ${api.gatewayToken}`, 'content-type': type, ...headers },
      body: new Uint8Array(Buffer.from(bytes)),
    });
    const body = (await answer.json()) as Record<string, unknown>;
    const code = String(body['type']).split('/').pop();
    return { status: answer.status, code, body, headers: answer.headers };
  };

  it('takes usage packed by gzip, which is the same as in plain', async () => {
    const sent = JSON.stringify(usage());
    expect((await send(gzipSync(sent))).status).toBe(201);
    expect(await send(sent, {})).toMatchObject({ status: 200, body: again });
    const identity = { 'content-encoding': 'identity' };
    expect(await send(sent, identity)).toMatchObject({ status: 200, body: again });
  });

  it('answers 413 for a bomb before it is unpacked, and for what is too large when it is', async () => {
    // 400 MiB, as fifty packed pieces in a row, which are one body.
    const piece = gzipSync(Buffer.alloc(8 * 1024 * 1024, 0x20));
    const bomb = Buffer.concat(Array.from({ length: 50 }, () => piece));
    const before = process.memoryUsage.rss();
    expect(await send(bomb)).toMatchObject({ status: 413, code: 'compression-too-strong' });
    expect(process.memoryUsage.rss() - before).toBeLessThan(64 * 1024 * 1024);
    // Hardly to be packed, so that only its size is in the way.
    const large = gzipSync(randomBytes(9 * 1024 * 1024), { level: 1 });
    expect(await send(large)).toMatchObject({ status: 413, code: 'body-too-large' });
    const text = gzipSync(randomBytes(4.5 * 1024 * 1024).toString('hex'), { level: 1 });
    expect(await send(text)).toMatchObject({ status: 413, code: 'body-too-large' });
  });

  it('answers 400 for what is no gzip, or not whole, and 415 for another encoding', async () => {
    const sent = JSON.stringify(usage());
    const whole = gzipSync(sent);
    for (const bytes of ['{}', whole.subarray(0, whole.length - 9)])
      expect(await send(bytes)).toMatchObject({
        status: 400,
        body: { errors: [{ pointer: '/' }] },
      });
    for (const encoding of ['br', 'gzip, gzip', 'deflate'])
      expect((await send(whole, { 'content-encoding': encoding })).status).toBe(415);
    expect((await send(sent, {})).status, 'nothing of it was kept').toBe(201);
  });

  it('answers who is no gateway before the body has come', async () => {
    for (const [token, status] of [
      [null, 401],
      [`tgw_${'x'.repeat(40)}`, 401],
      [api.ownerToken, 403],
    ] as const) {
      const bearer = token === null ? '' : `Authorization: Bearer ${token}\r\n`;
      const head = `POST ${path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n${bearer}Content-Type: ${type}\r\nContent-Length: 1000000\r\n\r\n[`;
      expect(readAnswer(await sendRaw(api.url, head)).status).toBe(status);
    }
    expect(intake.stats()).toMatchObject({ bytes: 0 });
  });

  it('answers 503 while there is no room, keeps nothing, and takes it afterwards', async () => {
    const sent = JSON.stringify(usage());
    const others = intake.open();
    // All but so much that the packed body has room, and the unpacked one has none.
    expect(others.grow(api.app.get(Config).usageIntakeBytes - sent.length + 1)).toBe(true);
    const refused = await send(gzipSync(sent));
    expect(refused).toMatchObject({ status: 503, code: 'ingestion-busy' });
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0);
    others.close();
    expect((await send(gzipSync(sent))).status).toBe(201);
  });

  it('holds the bytes of a body that is on its way, and none when its client has left', async () => {
    const { hostname, port } = new URL(api.url);
    const client = connect(Number(port), hostname);
    client.on('error', () => {});
    const head = `POST ${path} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer ${api.gatewayToken}\r\nContent-Type: ${type}\r\nContent-Length: 1000000\r\n\r\n`;
    client.write(head + ' '.repeat(5_000));
    await expect.poll(() => intake.stats().bytes, { timeout: 10_000 }).toBe(5_000);
    client.destroy();
    const nothing = { bytes: 0, storing: 0, waiting: 0 };
    await expect.poll(() => intake.stats(), { timeout: 10_000 }).toEqual(nothing);
  });
});
