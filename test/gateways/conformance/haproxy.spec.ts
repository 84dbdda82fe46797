import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { freePort } from '../../../scripts/free-port.mjs';
import { startProgram } from '../../support/program.js';
import type { GatewayDriver, GatewaySetup } from './driver.js';
import { conformance } from './suite.js';

const CONFIG = fileURLToPath(new URL('../../../gateways/haproxy/haproxy.cfg', import.meta.url));

/** One HAProxy with the shipped configuration. */
const startHaproxy = async (setup: Omit<GatewaySetup, 'linkTo' | 'grpcAddress'>) => {
  const port = await freePort();
  const program = await startProgram({
    name: 'haproxy',
    args: ['-db', '-f', CONFIG],
    environment: {
      TOLLGATE_ADDRESS: new URL(setup.serviceUrl).host,
      TOLLGATE_GATEWAY_TOKEN: setup.gatewayToken,
      TOLLGATE_API_ID: setup.apiId,
      TOLLGATE_STAGE: setup.stage,
      TOLLGATE_DEADLINE: `${setup.deadlineMs}ms`,
      TOLLGATE_ON_FAILURE: setup.onFailure,
      TOLLGATE_LUA: join(dirname(CONFIG), 'tollgate.lua'),
      TOLLGATE_SOCKET: `tollgate-${port}`,
      APPLICATION_ADDRESS: setup.upstream,
      LISTEN: `127.0.0.1:${port}`,
    },
    port,
  });
  return { url: `http://127.0.0.1:${port}`, program, stop: () => program.stop() };
};

const haproxy: GatewayDriver = {
  name: 'HAProxy',
  needs: ['haproxy'],
  readme: 'gateways/haproxy/README.md',
  start: startHaproxy,
};

conformance(haproxy);
