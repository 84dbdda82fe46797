import { Config, InvalidSettings } from '@io/platform';
import { createApi } from './api.js';

/** Starts the api; settings that are not right are told on standard error and end it with 1. */
async function main(): Promise<void> {
  const config = Config.fromEnvironment();
  const app = await createApi(config);
  app.enableShutdownHooks();
  // The launcher holds the other end of the channel; without it nobody would ever stop this process.
  process.once('disconnect', () => process.kill(process.pid, 'SIGTERM'));
  await app.listen({ port: config.port, host: config.host });
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
