import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { freePort } from '../../../scripts/free-port.mjs';
import { startProgram } from '../../support/program.js';
import type { GatewayDriver } from './driver.js';
import { conformance } from './suite.js';

const CADDYFILE = fileURLToPath(new URL('../../../gateways/caddy/Caddyfile', import.meta.url));

const caddy: GatewayDriver = {
  name: 'Caddy',
  needs: ['caddy'],
  readme: 'gateways/caddy/README.md',
  start: async (setup) => {
    const port = await freePort();
    const home = await mkdtemp(join(tmpdir(), 'tollgate-caddy-'));
    const program = await startProgram({
      name: 'caddy',
      args: ['run', '--config', CADDYFILE, '--adapter', 'caddyfile'],
      environment: {
        HOME: home,
        CADDY_ADMIN: 'off',
        TOLLGATE_ADDRESS: new URL(setup.serviceUrl).host,
        TOLLGATE_GATEWAY_TOKEN: setup.gatewayToken,
        TOLLGATE_API_ID: setup.apiId,
        TOLLGATE_STAGE: setup.stage,
        TOLLGATE_DEADLINE: `${setup.deadlineMs}ms`,
        TOLLGATE_ON_FAILURE: setup.onFailure,
        APPLICATION_ADDRESS: setup.upstream,
        LISTEN: `http://:${port}`,
        ACCESS_LOG: join(home, 'access.log'),
      },
      port,
    });
    const stop = async (): Promise<void> => {
      await program.stop();
      await rm(home, { recursive: true, force: true });
    };
    return { url: `http://127.0.0.1:${port}`, stop };
  },
};

conformance(caddy);
