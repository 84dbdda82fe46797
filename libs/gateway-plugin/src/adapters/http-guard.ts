import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import type { Refusal } from '../deciding/answer.js';

/** What becomes of one call. */
export type Verdict =
  | { readonly passes: true; readonly headers: Readonly<Record<string, string>> }
  | { readonly passes: false; readonly refusal: Refusal };

/** Judges a call, and counts it when it passes; `target` is what the client asked for. */
export type Judge = (
  request: IncomingMessage,
  response: ServerResponse,
  target: string,
) => Verdict | Promise<Verdict>;

/** Wraps a listener of `http.createServer()`. */
export const nodeAdapter =
  (judge: Judge, handler: RequestListener): RequestListener =>
  (request, response) =>
    apply(judge(request, response, request.url ?? ''), response, () => handler(request, response));

/** Middleware for Express 5. */
export const expressAdapter =
  (judge: Judge) =>
  (
    request: IncomingMessage & { originalUrl?: string },
    response: ServerResponse,
    next: () => void,
  ): void =>
    apply(judge(request, response, request.originalUrl ?? request.url ?? ''), response, next);

/** The parts of a Fastify 5 request and reply that the hook touches. */
interface FastifyRequestParts {
  readonly raw: IncomingMessage;
  readonly originalUrl: string;
}
interface FastifyReplyParts {
  readonly raw: ServerResponse;
  code(status: number): unknown;
  headers(values: Record<string, string>): unknown;
  send(body: string): unknown;
}
/** The part of a Fastify 5 instance that the plugin touches. */
export interface FastifyInstanceParts {
  addHook(
    name: 'onRequest',
    hook: (request: FastifyRequestParts, reply: FastifyReplyParts) => Promise<unknown>,
  ): unknown;
}

/** Plugin for Fastify 5. */
export const fastifyAdapter = (judge: Judge): ((instance: FastifyInstanceParts) => Promise<void>) =>
  // fastify-plugin's mark: the hook belongs to the instance it is registered on, not to a child.
  Object.assign(
    async (instance: FastifyInstanceParts): Promise<void> => {
      instance.addHook('onRequest', async (request, reply) => {
        const verdict = await judge(request.raw, reply.raw, request.originalUrl);
        if (verdict.passes) {
          reply.headers(verdict.headers);
          return undefined;
        }
        reply.code(verdict.refusal.status);
        reply.headers(verdict.refusal.headers);
        return reply.send(verdict.refusal.body);
      });
    },
    { [Symbol.for('skip-override')]: true },
  );

/** Judges a call and answers it when it may not pass; whether it may. For frameworks that no adapter is made for. */
export function guardCall(
  judge: Judge,
  {
    request,
    response,
    target,
  }: { request: IncomingMessage; response: ServerResponse; target: string },
): boolean | Promise<boolean> {
  const judged = judge(request, response, target);
  const answered = (verdict: Verdict): boolean => {
    passOrRefuse(verdict, response, () => undefined);
    return verdict.passes;
  };
  return judged instanceof Promise ? judged.then(answered) : answered(judged);
}

/** Without a promise where none is needed: most calls are decided at once. */
function apply(
  judged: Verdict | Promise<Verdict>,
  response: ServerResponse,
  pass: () => void,
): void {
  if (judged instanceof Promise) void applyLater(judged, response, pass);
  else passOrRefuse(judged, response, pass);
}

async function applyLater(
  judged: Promise<Verdict>,
  response: ServerResponse,
  pass: () => void,
): Promise<void> {
  passOrRefuse(await judged, response, pass);
}

function passOrRefuse(verdict: Verdict, response: ServerResponse, pass: () => void): void {
  if (verdict.passes) {
    setHeaders(response, verdict.headers);
    pass();
    return;
  }
  const { status, headers, body } = verdict.refusal;
  response.statusCode = status;
  setHeaders(response, headers);
  response.end(body);
}

function setHeaders(response: ServerResponse, headers: Readonly<Record<string, string>>): void {
  for (const [name, value] of Object.entries(headers)) response.setHeader(name, value);
}
