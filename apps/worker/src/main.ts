import 'reflect-metadata';
import { NestFactory } from '@nestjs/core';
import { Config, InvalidSettings, makeLogger, NestLogger } from '@io/platform';
import { WorkerModule } from './worker.module.js';

/** Starts the worker; settings that are not right are told on standard error and end it with 1. */
async function main(): Promise<void> {
  const config = Config.fromEnvironment();
  const app = await NestFactory.createApplicationContext(WorkerModule, {
    logger: new NestLogger(makeLogger(config)),
    abortOnError: false,
  });
  app.enableShutdownHooks();
  // The launcher holds the other end of the channel; without it nobody would ever stop this process.
  process.once('disconnect', () => process.kill(process.pid, 'SIGTERM'));
  process.send?.({ ready: true });
}

main().catch((error: unknown) => {
  const text =
    error instanceof InvalidSettings
      ? error.message
      : String(error instanceof Error ? error.stack : error);
  process.stderr.write(`${text}\n`);
  process.exit(1);
});
