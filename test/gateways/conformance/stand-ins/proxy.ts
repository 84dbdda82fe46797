import { Agent, createServer, request, type IncomingMessage, type ServerResponse } from 'node:http';
import type { RunningGateway } from '../driver.js';
import { listen } from '../listen.js';

export type Fields = readonly (readonly [name: string, value: string])[];

/** A call as it came to the gateway. */
export interface ProxiedCall {
  readonly method: string;
  /** As it came, with its query. */
  readonly target: string;
  readonly fields: Fields;
  /** The address of the connection. */
  readonly address: string;
}

/** What becomes of a call. */
export type Verdict =
  | {
      readonly kind: 'pass';
      /** What the application gets. */
      readonly fields: Fields;
      /** What the answer to the client has instead of the application's own. */
      readonly told?: Fields;
      /** What it has beside them. */
      readonly toldToo?: Fields;
    }
  | {
      readonly kind: 'refuse';
      readonly status: number;
      readonly fields: Fields;
      readonly body: string;
    };

/** Headers of one connection, which no proxy hands on. */
const HOP_BY_HOP = new Set(['connection', 'keep-alive', 'transfer-encoding', 'upgrade', 'te']);

/** As large as Envoy takes them. */
const HEADER_BYTES_MAX = 60 * 1024;

/**
 * A reverse proxy that asks `decide` about each call: the part of a gateway that is not the question. What the question
 * looks like, and what the gateway makes of the answer, is written from the gateway's own sources in its driver.
 */
export async function startProxy(
  upstream: string,
  decide: (call: ProxiedCall) => Promise<Verdict>,
): Promise<RunningGateway> {
  const server = createServer({ maxHeaderSize: HEADER_BYTES_MAX }, (asked, answer) => {
    decide(callOf(asked))
      .then((verdict) =>
        verdict.kind === 'pass'
          ? forward(upstream, asked, answer, verdict)
          : send(answer, verdict.status, verdict.fields, verdict.body),
      )
      .catch(() => send(answer, 400, [], ''));
  });
  server.maxHeadersCount = 0;
  const port = await listen(server);
  return {
    url: `http://127.0.0.1:${port}`,
    stop: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** The values of a field, by its name in any case. */
export const valuesOf = (fields: Fields, name: string): string[] =>
  fields.filter(([known]) => known.toLowerCase() === name.toLowerCase()).map(([, value]) => value);

/** The fields without those that `isGone` names in lower case, and with others at the end. */
export const replaced = (
  fields: Fields,
  isGone: (name: string) => boolean,
  others: Fields = [],
): Fields => [...fields.filter(([name]) => !isGone(name.toLowerCase())), ...others];

/** What the service answered to a question. */
export interface Answer {
  readonly status: number;
  readonly fields: Fields;
  readonly body: string;
}

/** Asks over HTTP/1.1, on connections that are kept. */
export function asker(serviceUrl: string) {
  const { hostname, port } = new URL(serviceUrl);
  const agent = new Agent({ keepAlive: true });
  return (method: string, path: string, fields: Fields): Promise<Answer> =>
    new Promise((resolve, reject) => {
      const headers = ['Host', `${hostname}:${port}`, ...fields.flat()];
      const asked = request(
        { hostname, port, method, path, headers, setHost: false, agent },
        (answered) => {
          let body = '';
          answered.setEncoding('latin1').on('data', (text: string) => (body += text));
          answered.on('error', reject);
          answered.on('end', () =>
            resolve({
              status: answered.statusCode ?? 0,
              fields: pairs(answered.rawHeaders).filter(([name]) => !isOfConnection(name)),
              body,
            }),
          );
        },
      );
      asked.on('error', reject);
      asked.end();
    });
}

const isOfConnection = (name: string) =>
  HOP_BY_HOP.has(name.toLowerCase()) || name.toLowerCase() === 'content-length';

/** Resolves with null when there is no answer in time, or a fault instead of one. */
export async function inTime<T>(answer: Promise<T>, deadlineMs: number): Promise<T | null> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<null>((resolve) => {
    timer = setTimeout(() => resolve(null), deadlineMs);
  });
  try {
    return await Promise.race([answer.catch(() => null), late]);
  } finally {
    clearTimeout(timer);
  }
}

function callOf({ method = '', url = '', rawHeaders, socket }: IncomingMessage): ProxiedCall {
  const fields = pairs(rawHeaders).filter(([name]) => !HOP_BY_HOP.has(name.toLowerCase()));
  return { method, target: url, fields, address: socket.remoteAddress ?? '' };
}

function forward(
  upstream: string,
  asked: IncomingMessage,
  answer: ServerResponse,
  { fields, told = [], toldToo = [] }: Extract<Verdict, { kind: 'pass' }>,
): void {
  const { hostname, port } = new URL(`http://${upstream}`);
  const names = new Set(told.map(([name]) => name.toLowerCase()));
  const onward = request(
    {
      hostname,
      port,
      method: asked.method,
      path: asked.url,
      headers: fields.flat(),
      setHost: false,
      agent: false,
    },
    (answered) => {
      let body = '';
      answered.setEncoding('latin1').on('data', (text: string) => (body += text));
      answered.on('end', () => {
        const own = pairs(answered.rawHeaders).filter(([name]) => name !== 'Content-Length');
        const all = [...replaced(own, (name) => names.has(name)), ...told, ...toldToo];
        send(answer, answered.statusCode ?? 502, all, body);
      });
    },
  );
  onward.on('error', () => send(answer, 502, [], ''));
  asked.pipe(onward);
}

function send(answer: ServerResponse, status: number, fields: Fields, body: string): void {
  answer.writeHead(status, [...fields.flat(), 'Content-Length', String(body.length)]);
  answer.end(body, 'latin1');
}

const pairs = (raw: readonly string[]): (readonly [string, string])[] =>
  raw.flatMap((name, at) => (at % 2 === 0 ? [[name, raw[at + 1] ?? ''] as const] : []));
