import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it, vi } from 'vitest';
import { meaningOf } from '../../../apps/cli/src/collect/access-log-line.js';
import { startApi } from '../../support/api.js';
import { freePort } from '../../support/launcher.js';
import { startProgram } from '../../support/program.js';
import { callRaw } from '../../support/raw-http.js';
import { describeWith } from '../../support/services.js';
import type { GatewayDriver, GatewaySetup } from './driver.js';
import { Subject } from './subject.js';
import { conformance } from './suite.js';
import { Upstream } from './upstream.js';

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

describeWith('haproxy', 'the log of HAProxy', () => {
  it('is what tollgate collect reads, a line per call', async () => {
    const api = await startApi();
    const upstream = await Upstream.start();
    const subject = await Subject.make({ url: api.url, operatorToken: api.ownerToken });
    const gateway = await startHaproxy({
      serviceUrl: api.url,
      gatewayToken: api.gatewayToken,
      apiId: subject.apiId,
      stage: subject.stage,
      upstream: upstream.address,
      onFailure: 'deny',
      deadlineMs: 5_000,
    });
    try {
      const key = ['X-Api-Key', subject.good.value] as const;
      const target = '/pets/"quoted"';
      await callRaw(gateway.url, { target, method: 'DELETE', fields: [key] });
      await callRaw(gateway.url, { target: '/pets' });
      const lines = () => gateway.program.said.split('\n').filter((line) => line.startsWith('{'));
      await vi.waitFor(() => expect(lines()).toHaveLength(2));
      expect(lines().map((line) => meaningOf(line, 0))).toEqual([
        {
          kind: 'call',
          call: {
            at: expect.any(Number),
            keyId: subject.good.id,
            apiId: subject.apiId,
            stage: 'prod',
            method: 'DELETE',
            resourcePath: '/pets/{petId}',
            status: 200,
            bytesOut: expect.any(Number),
            protocol: 'REST',
          },
        },
        { kind: 'not-metered' },
      ]);
    } finally {
      await gateway.stop();
      await upstream.stop();
    }
  });
});
