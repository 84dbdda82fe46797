import { readFileSync } from 'node:fs';
import { beforeAll, expect, it } from 'vitest';
import { afterFile } from '../../support/after-file.js';
import { EnvoyPort } from '../../../apps/api/src/envoy/envoy-port.js';
import { startApi } from '../../support/api.js';
import { describeWith } from '../../support/services.js';
import { Bench, type Fronts } from './bench.js';
import { CASE_IDS, CASES, type CaseId } from './cases.js';
import type { GatewayDriver, RunningGateway } from './driver.js';
import { Links } from './links.js';
import { runCase } from './run.js';
import { Subject } from './subject.js';
import { Upstream } from './upstream.js';

/** On a loaded machine a decision takes its time; only calls with the service away wait for it to pass. */
const GENEROUS_MS = 5_000;
const SHORT_MS = 300;

/** The whole table against one gateway, in front of the real api and an application that keeps what it gets. */
export function conformance(driver: GatewayDriver): void {
  describeWith(driver.needs, `${driver.name} conforms`, () => {
    const stops: (() => Promise<void>)[] = [];
    let bench: Bench;

    beforeAll(async () => {
      const api = await startApi({ GRPC_PORT: '0' });
      const upstream = await Upstream.start();
      const links = new Links();
      stops.push(
        () => upstream.stop(),
        () => links.close(),
      );
      const serviceUrl = `http://${await links.to(new URL(api.url).host)}`;
      const subject = await Subject.make({ url: api.url, operatorToken: api.ownerToken });
      const start = async (
        onFailure: 'allow' | 'deny',
        { deadlineMs = SHORT_MS, gatewayToken = api.gatewayToken } = {},
      ) => {
        const gateway: RunningGateway = await driver.start({
          serviceUrl,
          grpcAddress: `127.0.0.1:${api.app.get(EnvoyPort).port}`,
          linkTo: (address) => links.to(address),
          gatewayToken,
          apiId: subject.apiId,
          stage: subject.stage,
          upstream: upstream.address,
          onFailure,
          deadlineMs,
        });
        stops.unshift(() => gateway.stop());
        return { url: gateway.url, onFailure, deadlineMs };
      };
      const fronts: Fronts = {
        main: await start('deny', { deadlineMs: GENEROUS_MS }),
        closed: await start('deny'),
        open: await start('allow'),
        stranger: await start('allow', { gatewayToken: `tgw_${'x'.repeat(40)}` }),
      };
      bench = new Bench(subject, fronts, upstream, links);
    });

    afterFile(async () => {
      for (const stop of stops) await stop();
    });

    it.each(CASE_IDS.map((id) => [titleOf(driver, id), id] as const))('%s', async (_, id) => {
      const outcome = await runCase(id, bench, driver.declared);
      expect(outcome).toEqual(
        driver.declared?.[id] === undefined
          ? { kind: 'passed' }
          : { kind: 'declared', why: driver.declared[id] },
      );
    });

    it('shows in its README what it cannot do', () => {
      const root = new URL('../../../', import.meta.url);
      const readme = plain(readFileSync(new URL(driver.readme, root), 'utf8'));
      for (const reason of Object.values(driver.declared ?? {})) {
        expect(readme).toContain(plain(reason));
      }
    });
  });
}

const titleOf = ({ declared }: GatewayDriver, id: CaseId) => {
  const reason = declared?.[id];
  return `${id}: ${CASES[id].says}${reason === undefined ? '' : ` (declared: ${reason})`}`;
};

/** Without line breaks and markup of code, so that a reason may be wrapped in its README. */
const plain = (text: string) => text.replaceAll('`', '').replaceAll(/\s+/g, ' ');
