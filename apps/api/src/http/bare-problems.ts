import { STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import { PROBLEM_TYPE, problemHeaders, toProblem, type Problem } from '@io/platform';
import type { HotReply } from './hot-route.js';
import { API_HEADERS } from './strict-requests.js';

/** Answers a problem outside Fastify, with the header fields of every answer. */
export function sendProblem(reply: HotReply, problem: Problem, requestId: string): void {
  const body = JSON.stringify(problem);
  reply.sendAny(problem.status, fieldsOf(problem, requestId, body), body);
}

/** Answers bytes that are no request, or that came too slowly: there is no response for them, only a socket. */
export function refuseBytes(error: Error & { code?: string }, socket: Socket, id: string): void {
  if (socket.writable && error.code !== 'ECONNRESET') {
    const problem = toProblem(faultOf(error.code), id);
    const body = JSON.stringify(problem);
    const fields = ['Connection', 'close', ...fieldsOf(problem, id, body)];
    const head = [`HTTP/1.1 ${problem.status} ${STATUS_CODES[problem.status]}`];
    for (let i = 0; i < fields.length; i += 2) head.push(`${fields[i]}: ${fields[i + 1]}`);
    socket.end(`${head.join('\r\n')}\r\n\r\n${body}`);
  }
  socket.destroySoon();
}

const fieldsOf = (problem: Problem, requestId: string, body: string): string[] => [
  'Content-Length',
  String(Buffer.byteLength(body)),
  'Content-Type',
  PROBLEM_TYPE,
  'X-Request-Id',
  requestId,
  // What is left of a body that was refused is not read, so the connection cannot be used again.
  ...(problem.status === 413 ? ['Connection', 'close'] : []),
  ...Object.entries(problemHeaders(problem)).flat(),
  ...API_HEADERS,
];

function faultOf(code: string | undefined): Error {
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT') return fault(408, 'The request came too slowly.');
  if (code === 'HPE_HEADER_OVERFLOW') return fault(431, 'The headers are longer than 16 KiB.');
  return fault(400, 'This is not HTTP/1.1.');
}

const fault = (statusCode: number, message: string) =>
  Object.assign(new Error(message), { statusCode });
