import { connect } from 'node:net';

/** One answer as it came over the wire. */
export interface RawAnswer {
  readonly status: number;
  /** Name and value of each header field, in the order and the case they came in. */
  readonly fields: readonly (readonly [name: string, value: string])[];
  readonly body: string;
  /** The value of a field by its name in any case; null without one. */
  header(name: string): string | null;
}

/** What is sent: no library mends it on the way. */
export interface RawCall {
  readonly method?: string;
  readonly target: string;
  /** What the first `Host` says. */
  readonly host?: string;
  readonly fields?: readonly (readonly [name: string, value: string])[];
  readonly body?: string;
}

const ANSWER_MS_MAX = 10_000;

/** Sends bytes on a connection of their own, and answers all that came back before the other side closed it. */
export function sendRaw(url: string, bytes: string): Promise<string> {
  const { hostname, port } = new URL(url);
  return new Promise((resolve, reject) => {
    const socket = connect(Number(port), hostname, () => socket.write(bytes, 'latin1'));
    let received = '';
    socket.setEncoding('latin1').on('data', (chunk: string) => (received += chunk));
    socket.setTimeout(ANSWER_MS_MAX, () => socket.destroy(new Error('No end of the answer.')));
    // The other side may close while a large body is still on its way; what it answered counts.
    socket.on('error', (error) => (received === '' ? reject(error) : resolve(received)));
    socket.on('close', () => resolve(received));
  });
}

/** Sends one request exactly as it is written, with `Host` and `Connection: close` in front of the given fields. */
export async function callRaw(
  url: string,
  { method = 'GET', target, host = 'tollgate.test', fields = [], body = '' }: RawCall,
): Promise<RawAnswer> {
  const head = [
    `${method} ${target} HTTP/1.1`,
    `Host: ${host}`,
    'Connection: close',
    ...fields.map(([name, value]) => `${name}: ${value}`),
    ...(body === '' ? [] : [`Content-Length: ${Buffer.byteLength(body, 'latin1')}`]),
  ];
  return readAnswer(await sendRaw(url, `${head.join('\r\n')}\r\n\r\n${body}`));
}

/** The first answer in what came back; status 0 when the connection was closed without one. */
export function readAnswer(received: string): RawAnswer {
  const [head = '', ...rest] = received.split('\r\n\r\n');
  const [line = '', ...lines] = head.split('\r\n');
  const fields = lines.map((field) => {
    const at = field.indexOf(':');
    return [field.slice(0, at), field.slice(at + 1).trim()] as const;
  });
  return {
    status: Number(/^HTTP\/1\.1 (\d{3})/.exec(line)?.[1] ?? 0),
    fields,
    body: rest.join('\r\n\r\n'),
    header: (name) =>
      fields.find(([known]) => known.toLowerCase() === name.toLowerCase())?.[1] ?? null,
  };
}
