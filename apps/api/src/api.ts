import 'reflect-metadata';
import { createServer, type RequestListener } from 'node:http';
import { NestFactory } from '@nestjs/core';
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify';
import {
  type Config,
  makeLogger,
  NestLogger,
  ProblemFilter,
  requestValidation,
  toProblem,
} from '@io/platform';
import {
  LogController,
  type FastifyBaseLogger,
  type FastifyError,
  type FastifyReply,
  type FastifyRequest,
} from 'fastify';
import { ApiModule } from './api.module.js';
import { DecisionListener, DECISIONS_URL } from './decisions/decision.listener.js';
import { DECISION_PATHS } from './decisions/decision-paths.js';
import { EVENTS_PATHS } from './events/events-paths.js';
import { EventsRoutes } from './events/events.routes.js';
import { FORWARD_AUTH_PREFIX, ForwardAuthListener } from './decisions/forward-auth.listener.js';
import { GATEWAY_EVENTS_PATHS } from './gateway-events/gateway-events-paths.js';
import { GatewayEventsRoutes } from './gateway-events/gateway-events.routes.js';
import { refuseBytes, sendProblem } from './http/bare-problems.js';
import { KEEP_ALIVE_MS } from './http/hot-answer.js';
import { nodeReply, takeFromNode, type HotRoute } from './http/hot-route.js';
import { registerBodyParsers } from './http/json-body.js';
import { readPlainConnections } from './http/plain-connections.js';
import { HEAD_MAX } from './http/plain-request.js';
import { requestIds } from './http/request-ids.js';
import { registerStrictRequests } from './http/strict-requests.js';
import { serveOpenApi } from './openapi.js';
import { USAGE_BATCHES_PATHS } from './usage/usage-batches-paths.js';
import { LEASE_PATHS } from './leases/lease-paths.js';
import { LeasesRoutes } from './leases/leases.routes.js';
import { UsageBatchRoutes } from './usage/usage-batches.routes.js';

const BODY_MAX = 8 * 1024 * 1024;

/** Bounds on slow and large requests. */
const SERVER = {
  maxHeaderSize: HEAD_MAX,
  headersTimeout: 10_000,
  requestTimeout: 60_000,
  keepAliveTimeout: KEEP_ALIVE_MS,
};

/** Builds the api, not yet listening: pipes, filter, parsers and hooks are the same for the process and for tests. */
export async function createApi(config: Config): Promise<NestFastifyApplication> {
  const logger = makeLogger(config);
  // Known once the application is made.
  let hot: HotRoute = () => false;
  const genReqId = requestIds();
  const adapter = new FastifyAdapter({
    loggerInstance: logger,
    logController: new LogController({ disableRequestLogging: true }),
    bodyLimit: BODY_MAX,
    genReqId,
    // A child for each request costs more than most requests; lines name the request themselves.
    childLoggerFactory: (parent: FastifyBaseLogger) => parent,
    trustProxy: false,
    // What fails before there is a route for it runs no hook and no filter.
    frameworkErrors: (
      { statusCode = 400 }: FastifyError,
      { id }: FastifyRequest,
      { raw }: FastifyReply,
    ) =>
      sendProblem(
        nodeReply(raw),
        toProblem(Object.assign(new Error('The URL is not valid.'), { statusCode }), id),
        id,
      ),
    clientErrorHandler: (error, socket) => refuseBytes(error, socket, genReqId()),
    serverFactory: (fastify: RequestListener) => {
      const server = createServer(SERVER, (request, response) => {
        // A connection that is never idle would keep a server that is closing open for ever.
        if (!server.listening) response.shouldKeepAlive = false;
        if (!takeFromNode(hot, request, response)) fastify(request, response);
      });
      readPlainConnections(server, {
        route: (request, reply) => hot(request, reply),
        isHot: (url) => url === DECISIONS_URL || url.startsWith(FORWARD_AUTH_PREFIX),
      });
      // Node drops what is past its count in silence, the gateway's own headers with it; a check counts instead.
      server.maxHeadersCount = 0;
      return server;
    },
    routerOptions: { maxParamLength: 256, caseSensitive: true, ignoreTrailingSlash: false },
  });
  const app = await NestFactory.create<NestFastifyApplication>(ApiModule, adapter, {
    logger: new NestLogger(logger),
    bodyParser: false,
    abortOnError: false,
  });
  const fastify = app.getHttpAdapter().getInstance();
  registerStrictRequests(fastify);
  registerBodyParsers(fastify);
  app.get(UsageBatchRoutes).register(fastify);
  app.get(EventsRoutes).register(fastify);
  app.get(GatewayEventsRoutes).register(fastify);
  app.get(LeasesRoutes).register(fastify);
  const decisions = app.get(DecisionListener);
  const forwardAuth = app.get(ForwardAuthListener);
  hot = (request, reply) => decisions.handle(request, reply) || forwardAuth.handle(request, reply);
  app.setGlobalPrefix('v1', {
    exclude: [
      'health/live',
      'health/ready',
      'metrics',
      'marketplace/landing',
      'marketplace/sign-up',
      'marketplace/sns',
    ],
  });
  app.useGlobalPipes(requestValidation());
  app.useGlobalFilters(new ProblemFilter());
  serveOpenApi(app, {
    ...DECISION_PATHS,
    ...EVENTS_PATHS,
    ...GATEWAY_EVENTS_PATHS,
    ...LEASE_PATHS,
    ...USAGE_BATCHES_PATHS,
  });
  return app;
}
