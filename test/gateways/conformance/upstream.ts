import { createServer, type Server, type Socket } from 'node:net';
import { listen, portOf } from './listen.js';

/** A call as the application behind the gateway got it, byte for byte. */
export interface UpstreamCall {
  readonly method: string;
  /** The request target, as it came. */
  readonly target: string;
  /** Name and value of each header field, in the order and the case they came in. */
  readonly fields: readonly (readonly [name: string, value: string])[];
  readonly bodyBytes: number;
  /** All values of a field, by its name in any case. */
  all(name: string): readonly string[];
  /** The value of a field that came once; null without one. */
  header(name: string): string | null;
}

/**
 * The application behind the gateway: it answers 200 and keeps what it got; under `/status/{code}` it answers that code.
 * It reads the bytes itself, since Node's own server refuses verbs and paths that other servers take.
 */
export class Upstream {
  readonly seen: UpstreamCall[] = [];
  private readonly sockets = new Set<Socket>();
  private readonly server: Server = createServer((socket) => this.serve(socket));

  static async start(port = 0): Promise<Upstream> {
    const upstream = new Upstream();
    await listen(upstream.server, port);
    return upstream;
  }

  /** `host:port`. */
  get address(): string {
    return `127.0.0.1:${portOf(this.server)}`;
  }

  /** Nobody listens for a while. */
  async whileGone(run: () => Promise<void>): Promise<void> {
    const port = portOf(this.server);
    await this.stop();
    try {
      await run();
    } finally {
      await listen(this.server, port);
    }
  }

  async stop(): Promise<void> {
    for (const socket of this.sockets) socket.destroy();
    await new Promise((resolve) => this.server.close(resolve));
  }

  private serve(socket: Socket): void {
    this.sockets.add(socket);
    socket.on('close', () => this.sockets.delete(socket));
    socket.on('error', () => socket.destroy());
    let bytes = '';
    socket.setEncoding('latin1').on('data', (chunk: string) => {
      bytes += chunk;
      for (let read = readCall(bytes); read !== null; read = readCall(bytes)) {
        bytes = bytes.slice(read.length);
        this.seen.push(read.call);
        socket.write(answerTo(read.call), 'latin1');
        if (/close/i.test(read.call.header('Connection') ?? '')) socket.end();
      }
    });
  }
}

const TEXT = 'from the application';

function answerTo({ method, target }: UpstreamCall): string {
  const status = /^\/status\/(\d{3})/.exec(target)?.[1] ?? '200';
  const body = method === 'HEAD' ? '' : TEXT;
  const head = [
    `HTTP/1.1 ${status} Answer`,
    'Content-Type: text/plain',
    `Content-Length: ${TEXT.length}`,
    // What a careless application says of limits is not what the gateway decided.
    'RateLimit: "application";r=1;t=1',
    'X-Application: yes',
  ];
  return `${head.join('\r\n')}\r\n\r\n${body}`;
}

/** The first whole call in the bytes and its length; null while there is none. */
function readCall(bytes: string): { call: UpstreamCall; length: number } | null {
  const headEnd = bytes.indexOf('\r\n\r\n');
  if (headEnd === -1) return null;
  const [line = '', ...lines] = bytes.slice(0, headEnd).split('\r\n');
  const [method = '', target = ''] = line.split(' ');
  const fields = lines.map((field): readonly [string, string] => {
    const at = field.indexOf(':');
    return [field.slice(0, at), field.slice(at + 1).trim()];
  });
  const all = (name: string) =>
    fields
      .filter(([known]) => known.toLowerCase() === name.toLowerCase())
      .map(([, value]) => value);
  const body = all('transfer-encoding').some((value) => /chunked/i.test(value))
    ? chunkedLength(bytes, headEnd + 4)
    : plainLength(bytes, headEnd + 4, Number(all('content-length')[0] ?? 0));
  if (body === null) return null;
  const header = (name: string) => all(name)[0] ?? null;
  const call = { method, target, fields, bodyBytes: body.bytes, all, header };
  return { call, length: headEnd + 4 + body.length };
}

function plainLength(bytes: string, from: number, length: number) {
  return bytes.length >= from + length ? { length, bytes: length } : null;
}

function chunkedLength(bytes: string, from: number): { length: number; bytes: number } | null {
  let content = 0;
  for (let at = from; ;) {
    const lineEnd = bytes.indexOf('\r\n', at);
    if (lineEnd === -1) return null;
    const size = Number.parseInt(bytes.slice(at, lineEnd), 16);
    at = lineEnd + 2 + size + 2;
    if (at > bytes.length) return null;
    if (size === 0) return { length: at - from, bytes: content };
    content += size;
  }
}
