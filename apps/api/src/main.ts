import { Config, runProcess } from '@io/platform';
import { createApi } from './api.js';

runProcess(async () => {
  const config = Config.fromEnvironment();
  const app = await createApi(config);
  app.enableShutdownHooks();
  await app.listen({ port: config.port, host: config.host });
});
