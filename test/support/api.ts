import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { Config } from '@io/platform';
import { afterFile } from './after-file.js';
import { createApi } from '../../apps/api/src/api.js';
import { createTestDatabase } from './database.js';
import { setEnvironment } from './environment.js';

const SECRET = 'k1:MDEyMzQ1Njc4OWFiY2RlZmdoaWprbG1ub3BxcnN0dXY=';

/** One HTTP exchange with the api under test. */
export interface Answer<T = never> {
  readonly status: number;
  readonly headers: Headers;
  /** The parsed body, or null where there is none. */
  readonly body: [T] extends [never] ? Record<string, any> : T; // oxlint-disable-line typescript/no-explicit-any
}

interface Call {
  /** A bearer token; the owner's when left out, none when null. */
  readonly token?: string | null;
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
}

/** A running api over a database of its own, with an owner and a gateway in a test-mode account. */
export interface TestApi {
  readonly app: NestFastifyApplication;
  readonly url: string;
  readonly databaseUrl: string;
  readonly ownerToken: string;
  readonly gatewayToken: string;
  call<T = never>(method: string, path: string, call?: Call): Promise<Answer<T>>;
}

/** Starts an api in this process and stops it after the file. The default account is in test mode. */
export async function startApi(settings: Readonly<Record<string, string>> = {}): Promise<TestApi> {
  const databaseUrl = await createTestDatabase();
  const ownerToken = `tgo_${'o'.repeat(40)}`;
  const gatewayToken = `tgw_${'g'.repeat(40)}`;
  const environment = {
    DATABASE_URL: databaseUrl,
    TOLLGATE_SECRET: SECRET,
    TOLLGATE_OPERATOR_TOKEN: ownerToken,
    TOLLGATE_GATEWAY_TOKEN: gatewayToken,
    TOLLGATE_DEMO: 'on',
    TOLLGATE_LOG_LEVEL: 'error',
    ...settings,
  };
  // The api and what else of the file is made by Nest, such as a worker, read their settings there.
  setEnvironment(environment);
  const app = await createApi(new Config(environment));
  afterFile(() => app.close());
  await app.listen({ port: 0, host: '127.0.0.1' });
  const url = await app.getUrl();

  const call = caller(url, ownerToken);
  return { app, url, databaseUrl, ownerToken, gatewayToken, call };
}

/** Speaks HTTP with an api, as its owner unless told otherwise. */
export function caller(url: string, ownerToken: string): TestApi['call'] {
  return async <T>(method: string, path: string, options: Call = {}): Promise<Answer<T>> => {
    const { token = ownerToken, body, headers = {} } = options;
    const response = await fetch(url + path, {
      method,
      headers: {
        ...(token === null ? {} : { authorization: `Bearer ${token}` }),
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...headers,
      },
      ...(body === undefined
        ? {}
        : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    });
    const isStream = response.headers.get('content-type') === 'text/event-stream';
    // A stream does not end by itself.
    if (isStream) await response.body?.cancel();
    const text = isStream ? '' : await response.text();
    const isJson = response.headers.get('content-type')?.includes('json');
    return {
      status: response.status,
      headers: response.headers,
      body: (isJson ? JSON.parse(text) : text === '' ? null : text) as Answer<T>['body'],
    };
  };
}
