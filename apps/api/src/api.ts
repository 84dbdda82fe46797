import 'reflect-metadata';
import { randomUUID } from 'node:crypto';
import { NestFactory } from '@nestjs/core';
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify';
import {
  type Config,
  makeLogger,
  NestLogger,
  ProblemFilter,
  requestValidation,
} from '@io/platform';
import { LogController } from 'fastify';
import { ApiModule } from './api.module.js';
import { DecisionRoutes } from './decisions/decision.routes.js';
import { registerBodyParsers } from './http/json-body.js';
import { registerStrictRequests } from './http/strict-requests.js';
import { serveOpenApi } from './openapi.js';
import { USAGE_BATCHES_PATHS } from './usage/usage-batches-paths.js';
import { UsageBatchRoutes } from './usage/usage-batches.routes.js';

const BODY_MAX = 8 * 1024 * 1024;

/** Builds the api, not yet listening: pipes, filter, parsers and hooks are the same for the process and for tests. */
export async function createApi(config: Config): Promise<NestFastifyApplication> {
  const logger = makeLogger(config);
  const adapter = new FastifyAdapter({
    loggerInstance: logger,
    logController: new LogController({ disableRequestLogging: true }),
    bodyLimit: BODY_MAX,
    requestTimeout: 60_000,
    keepAliveTimeout: 72_000,
    genReqId: () => randomUUID(),
    trustProxy: false,
    http: { maxHeaderSize: 16_384, headersTimeout: 10_000 },
    routerOptions: { maxParamLength: 256, caseSensitive: true, ignoreTrailingSlash: false },
  });
  const app = await NestFactory.create<NestFastifyApplication>(ApiModule, adapter, {
    logger: new NestLogger(logger),
    bodyParser: false,
    abortOnError: false,
  });
  const fastify = app.getHttpAdapter().getInstance();
  // Node drops what is past its count in silence, the gateway's own headers with it; the hook counts instead.
  fastify.server.maxHeadersCount = 0;
  registerStrictRequests(fastify);
  registerBodyParsers(fastify);
  app.get(DecisionRoutes).register(fastify);
  app.get(UsageBatchRoutes).register(fastify);
  app.setGlobalPrefix('v1', { exclude: ['health/live', 'health/ready'] });
  app.useGlobalPipes(requestValidation());
  app.useGlobalFilters(new ProblemFilter());
  serveOpenApi(app, { ...USAGE_BATCHES_PATHS });
  return app;
}
