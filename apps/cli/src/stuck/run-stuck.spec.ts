import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { afterFile } from '../../../../test/support/after-file.js';
import { runStuck } from './run-stuck.js';

const DAY_MS = 86_400_000;
const exchange = (n: number) => ({
  id: `xch_${n}`,
  direction: 'out',
  target: 'stripe',
  act: 'push-invoice',
  subjectId: `inv_${n}`,
  status: 'dead',
  amount: { amount: '3.50', currency: 'USD' },
  fault: 'no such customer',
  ageSeconds: n * 3_600,
});
const record = {
  id: 'mrec_1',
  agreementId: 'agr_1',
  dimension: 'calls',
  hour: '2026-11-01T00:00:00Z',
  quantity: 7,
  usd: '1.75',
  state: 'dead',
  cause: null,
  reason: 'expired',
  createdAt: new Date(Date.now() - 3 * DAY_MS).toISOString(),
};

const asked: string[] = [];
const server = createServer((request, response) => {
  let body = '';
  request.on('data', (chunk: Buffer) => (body += chunk.toString()));
  request.on('end', () => {
    const { method, url = '' } = request;
    asked.push(`${method} ${url} ${body}`.trim());
    response.setHeader('content-type', 'application/json');
    if (method === 'POST') return response.end('{"status":"pending"}');
    if (url.includes('state=dead')) return response.end(JSON.stringify({ items: [record] }));
    if (url.includes('state=')) return response.end('{"items":[]}');
    const page = url.includes('cursor')
      ? { items: [exchange(2)] }
      : { items: [exchange(1)], next: 'more' };
    return response.end(JSON.stringify(page));
  });
});
let service: { url: string; token: string };
beforeAll(async () => {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- a TCP server's address is an AddressInfo
  const { port } = server.address() as AddressInfo;
  service = { url: `http://127.0.0.1:${port}`, token: 'tgo_x' };
});
afterFile(() => void server.close());
beforeEach(() => {
  asked.length = 0;
});

describe('tollgate stuck', () => {
  it('lists every page of what is open, the oldest first, with age, money and reason', async () => {
    const lines: string[] = [];
    await runStuck({ name: 'stuck', service, settle: null }, (line) => lines.push(line));
    const of = 'stripe out push-invoice inv_';
    expect(lines.join('\n').split('\n')).toEqual([
      '3 d  dead  1.75 USD  mrec_1  marketplace 7 calls of 2026-11-01T00:00:00Z for agr_1  expired',
      `2 h  dead  3.50 USD  xch_2   ${of}2                          no such customer`,
      `1 h  dead  3.50 USD  xch_1   ${of}1                          no such customer`,
    ]);
  });

  it.each([
    {
      id: 'xch_1',
      how: 'resolve' as const,
      posts: '/v1/exchanges/xch_1/resolve {"reason":"mended"}',
    },
    {
      id: 'mrec_1',
      how: 'retry' as const,
      posts: '/v1/marketplace/metering-records/mrec_1/retry {}',
    },
  ])('settles one: $how $id', async ({ id, how, posts }) => {
    const lines: string[] = [];
    const settle = { how, id, reason: 'mended' };
    await runStuck({ name: 'stuck', service, settle }, (line) => lines.push(line));
    expect(asked).toEqual([`POST ${posts}`]);
    expect(lines).toEqual([`${id} is pending now.`]);
  });
});
