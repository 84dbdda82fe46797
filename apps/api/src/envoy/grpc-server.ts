import {
  Server,
  ServerCredentials,
  status,
  type ChannelOptions,
  type Metadata,
  type MethodDefinition,
} from '@grpc/grpc-js';

/** What one unary method does with the bytes of a request; null is answered as UNAUTHENTICATED. */
export type UnaryMethod = (
  request: Buffer,
  metadata: Metadata,
) => Buffer | null | Promise<Buffer | null>;

/** Bounds on what a client of the port may do. */
const OPTIONS: ChannelOptions = {
  'grpc.max_concurrent_streams': 100,
  'grpc.max_receive_message_length': 256 * 1024,
  /** Megabytes that one connection may hold. */
  'grpc-node.max_session_memory': 16,
};

const NOT_A_GATEWAY = {
  code: status.UNAUTHENTICATED,
  details: 'The metadata "authorization" holds no gateway token.',
};

/**
 * A gRPC server of unary methods by their paths, `/package.Service/Method`, which read and write their own bytes. It
 * speaks without TLS: the port is for gateways on the same machine or in the same private network.
 */
export function grpcServer(methods: Readonly<Record<string, UnaryMethod>>): Server {
  const server = new Server(OPTIONS);
  for (const [path, answer] of Object.entries(methods)) {
    const method: MethodDefinition<Buffer, Buffer> = {
      path,
      requestStream: false,
      responseStream: false,
      requestSerialize: same,
      requestDeserialize: same,
      responseSerialize: same,
      responseDeserialize: same,
    };
    server.addService(
      { [path]: method },
      {
        [path]: (
          { request, metadata }: { readonly request: Buffer; readonly metadata: Metadata },
          reply: (error: typeof NOT_A_GATEWAY | null, response?: Buffer) => void,
        ) => {
          const send = (bytes: Buffer | null) =>
            bytes === null ? reply(NOT_A_GATEWAY) : reply(null, bytes);
          const answered = answer(request, metadata);
          if (answered instanceof Promise) void answered.then(send);
          else send(answered);
        },
      },
    );
  }
  return server;
}

const same = (bytes: Buffer) => bytes;

/** Starts to listen, and resolves with the port. */
export function listen(server: Server, address: string): Promise<number> {
  return new Promise((resolve, reject) => {
    server.bindAsync(address, ServerCredentials.createInsecure(), (error, port) =>
      error ? reject(error) : resolve(port),
    );
  });
}

/** Takes no new calls, waits for those under way up to `graceMs`, and closes. */
export function drain(server: Server, graceMs: number): Promise<void> {
  return new Promise((resolve) => {
    const force = setTimeout(() => {
      server.forceShutdown();
      resolve();
    }, graceMs);
    server.tryShutdown(() => {
      clearTimeout(force);
      resolve();
    });
  });
}
