import type { IncomingMessage, ServerResponse } from 'node:http';
import { FieldNames } from './field-names.js';
import type { HotAnswer } from './hot-answer.js';
import { readBody, type BodyHeaders } from './json-body.js';
import { readHeaders, type HotHeaders } from './strict-requests.js';

/** Told once: the whole body as text of one byte a character, or why it is refused. */
export type TextRead = (error: Error | null, body: string) => void;

/** A request to a route that is asked thousands of times a second, whoever read it. */
export interface HotRequest {
  readonly method: string;
  /** As it came, with its query. */
  readonly url: string;
  /** Name, value, name, value, as they came. */
  readonly rawHeaders: readonly string[];
  readonly names: FieldNames;
  /** The fields that must be single, or why the request is refused whatever it asks for. */
  readonly headers: HotHeaders | Error;
  /** Calls back once, with the whole body as text of one byte a character or with why it is refused; never when the client goes away meanwhile. */
  readBody(headers: BodyHeaders, bytesMax: number, read: TextRead): void;
}

/** Where the answer to one request goes; only the first counts. */
export interface HotReply {
  readonly isSent: boolean;
  /** `lines` are fields of this answer alone, each `Name: value` with CR LF. */
  send(answer: HotAnswer, lines: string, body: string): void;
  /** Of any status and text. `fields` say everything but the date and what becomes of the connection. */
  sendAny(status: number, fields: readonly string[], body: string): void;
}

/** Takes a request that is its own and answers it, at once or later; false leaves it to others. */
export type HotRoute = (request: HotRequest, reply: HotReply) => boolean;

/** The same of a request that Node has read. */
export function takeFromNode(
  route: HotRoute,
  request: IncomingMessage,
  response: ServerResponse,
): boolean {
  const { method = '', url = '', rawHeaders } = request;
  const asked: HotRequest = {
    method,
    url,
    rawHeaders,
    names: new FieldNames(),
    get headers() {
      return readHeaders(rawHeaders);
    },
    readBody: (headers, bytesMax, read) =>
      readBody(headers, request, bytesMax, (error, bytes) => read(error, bytes.toString('latin1'))),
  };
  return route(asked, nodeReply(response));
}

/** Answers by Node. */
export const nodeReply = (response: ServerResponse): HotReply => ({
  get isSent() {
    return response.headersSent;
  },
  send: (answer, lines, body) =>
    void response.writeHead(answer.status, answer.fields(lines, body)).end(body, 'latin1'),
  sendAny: (status, fields, body) => void response.writeHead(status, [...fields]).end(body),
});
