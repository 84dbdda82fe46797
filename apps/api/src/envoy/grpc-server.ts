import {
  Server,
  ServerCredentials,
  status,
  type ChannelOptions,
  type Metadata,
  type MethodDefinition,
} from '@grpc/grpc-js';

/** A unary method that reads and writes its own bytes. */
export interface UnaryMethod<Answer> {
  /** Of the bytes of a request; null is answered as UNAUTHENTICATED. */
  readonly answer: (request: Buffer, metadata: Metadata) => Answer | null | Promise<Answer | null>;
  /** The bytes of an answer, which are copied into its frame before the next are asked for. */
  readonly bytesOf: (answer: Answer) => Buffer;
}

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

/** A gRPC server without TLS: the port is for gateways on the same machine or in the same private network. */
export const grpcServer = (): Server => new Server(OPTIONS);

/** Has the server answer a method by its path, `/package.Service/Method`. */
export function addUnary<Answer>(
  server: Server,
  path: string,
  { answer, bytesOf }: UnaryMethod<Answer>,
): void {
  const method: MethodDefinition<Buffer, Answer> = {
    path,
    requestStream: false,
    responseStream: false,
    requestSerialize: same,
    requestDeserialize: same,
    responseSerialize: bytesOf,
    responseDeserialize: unread,
  };
  server.addService(
    { [path]: method },
    {
      [path]: (
        { request, metadata }: { readonly request: Buffer; readonly metadata: Metadata },
        reply: (error: typeof NOT_A_GATEWAY | null, response?: Answer) => void,
      ) => {
        const send = (answered: Answer | null) =>
          answered === null ? reply(NOT_A_GATEWAY) : reply(null, answered);
        const answered = answer(request, metadata);
        if (answered instanceof Promise) void answered.then(send);
        else send(answered);
      },
    },
  );
}

const same = (bytes: Buffer) => bytes;

/** A server reads no answers. */
function unread(): never {
  throw new Error('Answers are read by clients.');
}

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
