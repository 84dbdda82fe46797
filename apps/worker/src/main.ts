import 'reflect-metadata';
import { NestFactory } from '@nestjs/core';
import { Config, makeLogger, NestLogger, runProcess } from '@io/platform';
import { WorkerModule } from './worker.module.js';

runProcess(async () => {
  const logger = new NestLogger(makeLogger(Config.fromEnvironment()));
  const app = await NestFactory.createApplicationContext(WorkerModule, {
    logger,
    abortOnError: false,
  });
  app.enableShutdownHooks();
});
