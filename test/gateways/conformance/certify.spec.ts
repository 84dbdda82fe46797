import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { beforeAll, expect, it, onTestFinished } from 'vitest';
import { startApi, type TestApi } from '../../support/api.js';
import { freePort } from '../../../scripts/free-port.mjs';
import { startNginx } from '../../support/nginx.js';
import { describeWith } from '../../support/services.js';

const ROOT = fileURLToPath(new URL('../../..', import.meta.url));

/** `npm run conformance` as a process of its own. */
function startCertifying(api: TestApi, args: readonly string[]) {
  const child = spawn(
    process.execPath,
    [
      '--import',
      'tsx',
      'test/gateways/conformance/main.ts',
      '--service',
      api.url,
      '--token',
      api.ownerToken,
      ...args,
    ],
    { cwd: ROOT, stdio: ['ignore', 'pipe', 'inherit'] },
  );
  onTestFinished(() => void child.kill());
  let output = '';
  const more = new EventTarget();
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    output += text;
    more.dispatchEvent(new Event('output'));
  });
  const ended = once(child, 'close').then(([code]) => ({ code: Number(code), output }));
  const prints = async (pattern: RegExp): Promise<string> => {
    for (;;) {
      const found = pattern.exec(output)?.[1];
      if (found !== undefined) return found;
      await Promise.race([once(more, 'output'), ended]);
    }
  };
  return { ended, prints };
}

describeWith('nginx', 'npm run conformance', () => {
  let api: TestApi;
  beforeAll(async () => {
    api = await startApi();
  });

  it('certifies a gateway by its URL: says what to configure, waits for it, prints the table', async () => {
    const [port, upstreamPort, linkPort] = [await freePort(), await freePort(), await freePort()];
    const { ended, prints } = startCertifying(api, [
      '--gateway',
      `http://127.0.0.1:${port}`,
      '--upstream-port',
      String(upstreamPort),
      '--link-port',
      String(linkPort),
      '--deadline',
      '1000',
      '--declare',
      'spoofed-unused-tollgate=nginx deletes headers by their names only',
    ]);
    const apiId = await prints(/about api (\w+), stage prod/);
    const nginx = await startNginx({
      port,
      tollgateAddress: `127.0.0.1:${linkPort}`,
      applicationAddress: `127.0.0.1:${upstreamPort}`,
      gatewayToken: api.gatewayToken,
      apiId,
      stage: 'prod',
      deadline: '1s',
    });
    try {
      const { code, output } = await ended;
      expect(output).toMatch(/^pass +good-key +passes, with the path/m);
      expect(output).toMatch(/^pass +away-closed-silent +503 within/m);
      expect(output).toMatch(/^declared +spoofed-unused-tollgate +.*\n +nginx deletes/m);
      expect(output).toMatch(/^not run +away-open-gone .*\n +needs a gateway/m);
      expect(output).toMatch(/^\d+ passed, 0 failed, 1 declared, 4 not run$/m);
      expect(code).toBe(0);
    } finally {
      await nginx.stop();
    }
  });

  it('exits 1 for what is no gateway at all', async () => {
    const upstreamPort = await freePort();
    const address = `http://127.0.0.1:${upstreamPort}`;
    const { ended } = startCertifying(api, [
      '--gateway',
      address,
      '--upstream-port',
      String(upstreamPort),
    ]);
    const { code, output } = await ended;
    expect(output).toMatch(/^FAIL +missing-key +403 Forbidden without a key\n +reached the app/m);
    expect(code).toBe(1);
  });
});
