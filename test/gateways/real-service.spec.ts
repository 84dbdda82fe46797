import { createServer, request as httpRequest, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createTollgate } from '@core/gateway-plugin';
import { afterEach, beforeAll, expect, it } from 'vitest';
import { afterFile } from '../support/after-file.js';
import { startApi, type TestApi } from '../support/api.js';
import { aCatalogue, type Catalogue, type CatalogueOptions } from '../support/catalogue.js';
import { startNginx } from '../support/nginx.js';
import { describeWith } from '../support/services.js';

interface Reply {
  readonly status: number;
  readonly body: string;
  readonly errorType: unknown;
  readonly hasLimits: boolean;
  readonly hasRetryAfter: boolean;
}

const listen = async (server: Server): Promise<number> => {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- a TCP server's address is an AddressInfo
  return (server.address() as AddressInfo).port;
};

const call = (port: number, path: string, headers: string[]): Promise<Reply> =>
  new Promise((resolve, reject) => {
    const request = httpRequest(
      { host: '127.0.0.1', port, path, headers: ['Host', 'a', ...headers] },
      (response) => {
        let body = '';
        response.setEncoding('utf8').on('data', (chunk: string) => (body += chunk));
        response.on('end', () =>
          resolve({
            status: response.statusCode ?? 0,
            body,
            errorType: response.headers['x-amzn-errortype'],
            hasLimits: response.headers['ratelimit'] !== undefined,
            hasRetryAfter: response.headers['retry-after'] !== undefined,
          }),
        );
      },
    );
    request.on('error', reject);
    request.end();
  });

describeWith('nginx', 'nginx and the Node plugin in front of the real service', () => {
  let api: TestApi;
  let application: Server;
  const stops: (() => Promise<unknown>)[] = [];

  beforeAll(async () => {
    api = await startApi();
    application = createServer((request, response) => {
      response.end(`${request.url} for ${String(request.headers['x-tollgate-key-id'])}`);
    });
    await listen(application);
  });
  afterFile(() => application.close());
  afterEach(async () => {
    for (const stop of stops.splice(0)) await stop();
  });

  const gateways = {
    nginx: async ({ apiId, stage }: Catalogue): Promise<number> => {
      // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- a TCP server's address is an AddressInfo
      const { port } = application.address() as AddressInfo;
      const nginx = await startNginx({
        tollgateAddress: new URL(api.url).host,
        gatewayToken: api.gatewayToken,
        applicationAddress: `127.0.0.1:${port}`,
        apiId,
        stage,
        deadline: '5s',
      });
      stops.push(() => nginx.stop());
      return nginx.port;
    },
    'the Node plugin': async ({ apiId, stage }: Catalogue): Promise<number> => {
      const tollgate = createTollgate({
        url: api.url,
        token: api.gatewayToken,
        apiId,
        stage,
        deadlineMs: 5_000,
        closeTimeoutMs: 100,
        onEvent: () => undefined,
      });
      const server = createServer(
        tollgate.node((request, response) => application.emit('request', request, response)),
      );
      stops.push(async () => {
        server.close();
        server.closeAllConnections();
        await tollgate.close();
      });
      return listen(server);
    },
  };

  const forbidden = {
    status: 403,
    body: '{"message":"Forbidden"}',
    errorType: 'ForbiddenException',
    hasRetryAfter: false,
  };
  const rows: {
    why: string;
    plan?: CatalogueOptions;
    path?: string;
    keys?: (catalogue: Catalogue) => string[];
    calls?: number;
    answer: object;
  }[] = [
    { why: 'a key in a plan', answer: { status: 200, errorType: undefined, hasRetryAfter: false } },
    { why: 'no key', keys: () => [], answer: { ...forbidden, hasLimits: false } },
    { why: 'an unknown key', keys: () => ['nobody'], answer: { ...forbidden, hasLimits: false } },
    { why: 'two keys', keys: ({ apiKey }) => [apiKey, apiKey], answer: forbidden },
    { why: 'a disabled key', plan: { enabled: false }, answer: forbidden },
    { why: 'a path that two may read differently', path: '/pets/../admin', answer: forbidden },
    {
      why: 'a second call when one is the burst',
      plan: { throttle: { rateLimit: 0.01, burstLimit: 1 } },
      calls: 2,
      answer: {
        status: 429,
        body: '{"message":"Too Many Requests"}',
        errorType: 'TooManyRequestsException',
        hasRetryAfter: true,
        hasLimits: true,
      },
    },
    {
      why: 'a second call when one is the quota',
      plan: { quota: { limit: 1, period: 'DAY' } },
      calls: 2,
      answer: {
        status: 429,
        body: '{"message":"Limit Exceeded"}',
        errorType: 'LimitExceededException',
        hasRetryAfter: true,
        hasLimits: true,
      },
    },
  ];

  it.each(
    Object.entries(gateways).flatMap(([gateway, start]) =>
      rows.map((row) => ({ ...row, gateway, start })),
    ),
  )('$gateway answers $answer.status for $why', async (row) => {
    const catalogue = await aCatalogue(api, row.plan);
    const port = await row.start(catalogue);
    const keys = row.keys?.(catalogue) ?? [catalogue.apiKey];
    const headers = keys.flatMap((key) => ['X-Api-Key', key]);
    const replies: Reply[] = [];
    for (let index = 0; index < (row.calls ?? 1); index += 1) {
      replies.push(await call(port, row.path ?? '/pets/42', headers));
    }
    expect(replies.at(-1)).toMatchObject(row.answer);
    const passed = replies.filter(({ status }) => status === 200).map(({ body }) => body);
    const before = replies.slice(0, -1).length;
    const expected = 'body' in row.answer ? before : 1;
    expect(passed).toEqual(Array(expected).fill(`/pets/42 for ${catalogue.keyId}`));
  });
});
