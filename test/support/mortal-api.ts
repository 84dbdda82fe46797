import type { INestApplicationContext } from '@nestjs/common';
import { Config } from '@io/platform';
import { afterFile } from './after-file.js';
import { createApi } from '../../apps/api/src/api.js';
import { CrashingWire } from './crashing-wire.js';
import { setEnvironment } from './environment.js';

/** An api on a database, with the jobs that the worker runs, which dies at the statement that its wire is told. Gone after the file. */
export async function startMortalApi(
  databaseUrl: string,
): Promise<{ readonly app: INestApplicationContext; readonly wire: CrashingWire }> {
  const wire = await CrashingWire.to(databaseUrl);
  // The settings are read from the process' environment where Nest makes them.
  setEnvironment({ DATABASE_URL: wire.url, TOLLGATE_LOG_LEVEL: 'silent' });
  const app = await createApi(new Config(process.env));
  afterFile(async () => {
    await app.close();
    wire.stop();
  });
  await app.init();
  return { app, wire };
}
