import { fileURLToPath } from 'node:url';
import { Client, credentials, Metadata, type ServiceError } from '@grpc/grpc-js';
import { loadSync, type MethodDefinition } from '@grpc/proto-loader';

const PROTOS = fileURLToPath(new URL('../../gateways/envoy/protos', import.meta.url));

/** Envoy's two services as its own definitions describe them, read by somebody else's code. */
const DEFINITIONS = loadSync(
  ['envoy/service/auth/v3/external_auth.proto', 'envoy/service/ratelimit/v3/rls.proto'],
  {
    includeDirs: [PROTOS],
    keepCase: true,
    longs: Number,
    enums: String,
    defaults: true,
    oneofs: true,
  },
);

export interface HeaderValue {
  readonly key: string;
  readonly value: string;
}

export interface HeaderValueOption {
  readonly header: HeaderValue;
  readonly append: { readonly value: boolean } | null;
  readonly append_action: string;
}

/** A `google.protobuf.Struct` whose values are texts. */
export interface TextStruct {
  readonly fields: Readonly<Record<string, { readonly stringValue: string }>>;
}

/** `envoy.service.auth.v3.CheckResponse`, as far as the service fills it. */
export interface CheckResponse {
  readonly status: { readonly code: number; readonly message: string } | null;
  readonly http_response: 'ok_response' | 'denied_response';
  readonly denied_response?: {
    readonly status: { readonly code: string };
    readonly headers: readonly HeaderValueOption[];
    readonly body: string;
  };
  readonly ok_response?: {
    readonly headers: readonly HeaderValueOption[];
    readonly headers_to_remove: readonly string[];
    readonly response_headers_to_add: readonly HeaderValueOption[];
  };
  readonly dynamic_metadata: TextStruct | null;
}

/** `envoy.service.ratelimit.v3.RateLimitResponse`, as far as the service fills it. */
export interface RateLimitResponse {
  readonly overall_code: 'UNKNOWN' | 'OK' | 'OVER_LIMIT';
  readonly statuses: readonly {
    readonly code: string;
    readonly current_limit: {
      readonly requests_per_unit: number;
      readonly unit: string;
      readonly name: string;
    } | null;
    readonly limit_remaining: number;
    readonly duration_until_reset: { readonly seconds: number } | null;
  }[];
  readonly response_headers_to_add: readonly HeaderValue[];
  readonly request_headers_to_add: readonly HeaderValue[];
  readonly raw_body: Buffer;
  readonly dynamic_metadata: TextStruct | null;
}

/** The call that Envoy asks about, in the fields that it fills from it. */
export interface EnvoyCall {
  readonly method?: string;
  readonly path?: string;
  /** Names in lower case, values of one name joined with commas. */
  readonly headers?: Readonly<Record<string, string>>;
  /** The same as `encode_raw_headers` sends them. */
  readonly rawHeaders?: readonly (readonly [string, string])[];
  readonly context?: Readonly<Record<string, string>>;
  readonly address?: string | null;
}

/** The message that Envoy's ext_authz filter makes of a call (its check_request_utils.cc). */
export function checkRequest(call: EnvoyCall): object {
  const { method = 'GET', path = '/pets/42', headers = {}, rawHeaders, context = {} } = call;
  const address = call.address === undefined ? '203.0.113.7' : call.address;
  const peer = (ip: string, port: number) => ({
    address: { socket_address: { address: ip, port_value: port } },
  });
  return {
    attributes: {
      source: address === null ? { address: { pipe: { path: '/run/x' } } } : peer(address, 50_123),
      destination: peer('10.0.0.2', 443),
      request: {
        http: {
          id: '8293471092837',
          method,
          path,
          host: 'api.example.com',
          scheme: 'https',
          size: -1,
          protocol: 'HTTP/1.1',
          ...(rawHeaders
            ? {
                header_map: {
                  headers: rawHeaders.map(([key, value]) => ({
                    key,
                    raw_value: Buffer.from(value),
                  })),
                },
              }
            : { headers: { ':method': method, ':path': path, ...headers } }),
        },
      },
      context_extensions: context,
    },
  };
}

type ServiceName =
  'envoy.service.auth.v3.Authorization' | 'envoy.service.ratelimit.v3.RateLimitService';

function methodOf(service: ServiceName, method: string): MethodDefinition<object, object> {
  const definition = DEFINITIONS[service] as Record<string, MethodDefinition<object, object>>;
  return definition[method]!;
}

/** The bytes of a request, and the path that it is sent to. */
export function encoded(service: ServiceName, method: string, request: object) {
  const { path, requestSerialize } = methodOf(service, method);
  return { path, bytes: requestSerialize(request) };
}

/** A gRPC client that asks as Envoy does. */
export class EnvoyClient {
  private readonly client: Client;

  constructor(
    address: string,
    private readonly token: string | null,
  ) {
    this.client = new Client(address, credentials.createInsecure());
  }

  check(request: object, deadlineMs = 5_000): Promise<CheckResponse> {
    return this.call('envoy.service.auth.v3.Authorization', 'Check', request, deadlineMs);
  }

  shouldRateLimit(request: object, deadlineMs = 5_000): Promise<RateLimitResponse> {
    return this.call(
      'envoy.service.ratelimit.v3.RateLimitService',
      'ShouldRateLimit',
      request,
      deadlineMs,
    );
  }

  /** Sends these bytes instead of a message, and answers the bytes that came. */
  raw(path: string, bytes: Buffer, deadlineMs = 5_000): Promise<Buffer> {
    const same = (value: Buffer) => value;
    return this.send(path, same, same, bytes, deadlineMs);
  }

  /** Resolves when there is a connection. */
  ready(deadlineMs: number): Promise<void> {
    return new Promise((resolve, reject) => {
      this.client.waitForReady(Date.now() + deadlineMs, (error) =>
        error ? reject(error) : resolve(),
      );
    });
  }

  close(): void {
    this.client.close();
  }

  private call<T>(
    service: ServiceName,
    method: string,
    request: object,
    deadlineMs: number,
  ): Promise<T> {
    const { path, requestSerialize, responseDeserialize } = methodOf(service, method);
    const read = (bytes: Buffer) => responseDeserialize(bytes) as T;
    return this.send(path, requestSerialize, read, request, deadlineMs);
  }

  private send<Q, A>(
    path: string,
    write: (request: Q) => Buffer,
    read: (bytes: Buffer) => A,
    request: Q,
    deadlineMs: number,
  ): Promise<A> {
    const metadata = new Metadata();
    if (this.token !== null) metadata.set('authorization', `Bearer ${this.token}`);
    return new Promise((resolve, reject) => {
      this.client.makeUnaryRequest(
        path,
        write,
        read,
        request,
        metadata,
        { deadline: Date.now() + deadlineMs },
        (error: ServiceError | null, answer?: A) => (error ? reject(error) : resolve(answer as A)),
      );
    });
  }
}
