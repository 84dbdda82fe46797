import 'reflect-metadata';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Controller, Get, Module, UseGuards, type INestApplication } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import { createTollgate, type Tollgate } from '@core/gateway-plugin';
import express from 'express';
import { beforeAll, describe, expect, it } from 'vitest';
import { afterFile } from '../support/after-file.js';
import { TollgateGuard } from '../../libs/gateway-plugin/src/nest.js';
import { StandInLeases } from '../support/stand-in-leases.js';
import { StandInService } from '../support/stand-in-service.js';

const WIDE = { rateLimit: 100_000, burstLimit: 100_000 };
const KEY = 'tg_nest';

let service: StandInService;
let tollgate: Tollgate;
const stops: (() => unknown)[] = [];

beforeAll(async () => {
  const keyId = 'keynest001';
  const leases = new StandInLeases({
    [KEY]: { keyId, customerId: 'cus_a', enabled: true, throttle: WIDE, quota: 3 },
  });
  service = await StandInService.start({
    leases,
    keys: { [KEY]: { keyId, customerId: 'cus_a', plan: WIDE } },
  });
  const { url, token } = service;
  tollgate = createTollgate({
    url,
    token,
    apiId: 'petstore01',
    stage: 'prod',
    onEvent: () => undefined,
  });
});
afterFile(async () => {
  for (const stop of stops) await stop();
  await tollgate.close();
  await service.stop();
});

/** Nest's own adapter for Fastify. */
async function serveNest(): Promise<number> {
  class Guarded extends TollgateGuard {
    constructor() {
      super(tollgate);
    }
  }

  @Controller()
  @UseGuards(Guarded)
  class PetsController {
    @Get('pets')
    pets(): string {
      return 'pets';
    }
  }

  @Module({ controllers: [PetsController] })
  class AppModule {}

  const app: INestApplication = await NestFactory.create(AppModule, new FastifyAdapter(), {
    logger: false,
  });
  await app.listen(0, '127.0.0.1');
  stops.push(() => app.close());
  return Number(new URL(await app.getUrl()).port);
}

/** What Nest does over Express: a guard is asked with Node's own request and response. */
async function serveExpress(): Promise<number> {
  const guard = new TollgateGuard(tollgate);
  const app = express();
  app.use(async (request, response, next) => {
    const http = { getRequest: () => request, getResponse: () => response };
    const context = { getType: () => 'http', switchToHttp: () => http };
    if (await guard.canActivate(context)) next();
  });
  app.get('/pets', (_request, response) => void response.send('pets'));
  const server = createServer(app);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  stops.push(() => server.close());
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- a TCP server's address is an AddressInfo
  return (server.address() as AddressInfo).port;
}

describe.each([
  { name: 'Nest on Fastify', serve: serveNest },
  { name: 'a guard on Express', serve: serveExpress },
])('$name', ({ serve }) => {
  it('passes, meters and refuses as every other adapter does', async () => {
    const port = await serve();
    const ask = async (headers: Record<string, string>) => {
      const response = await fetch(`http://127.0.0.1:${port}/pets`, { headers });
      return {
        status: response.status,
        type: response.headers.get('x-amzn-errortype'),
        body: await response.text(),
      };
    };
    await tollgate.flush();
    const before = service.committed('calls')['all'] ?? 0;
    const passed = await ask({ 'x-api-key': KEY });
    expect(passed).toEqual({ status: 200, type: null, body: 'pets' });
    const forbidden = { status: 403, type: 'ForbiddenException', body: '{"message":"Forbidden"}' };
    expect(await ask({})).toEqual(forbidden);
    expect(await ask({ 'x-api-key': 'nobody' })).toEqual(forbidden);
    await tollgate.flush();
    expect(service.committed('calls')['all']).toBe(before + 1);
  });
});

it('lets what is not HTTP pass', () => {
  const guard = new TollgateGuard(tollgate);
  const none = (): never => {
    throw new Error('no HTTP here');
  };
  expect(guard.canActivate({ getType: () => 'rpc', switchToHttp: none })).toBe(true);
});
