// @ts-check
/**
 * A gateway with the built plugin before an application, as a process of its own with a clock of its own. Each call that
 * reaches the application is written to a file with what it must be metered as.
 *
 * node metering-gateway.mjs <path of the plugin> <options as JSON> <path of the file>
 */
import { openSync, writeSync } from 'node:fs';
import { Agent, createServer, request } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';

const [plugin = '', optionsText = '', file = ''] = process.argv.slice(2);
const { apiKeys, skewMs, clients, ...options } = JSON.parse(optionsText);
const now = Date.now;
Date.now = () => now() + skewMs;
const { createTollgate } = await import(pathToFileURL(plugin).href);
/** @type {object[]} */
const events = [];
const tollgate = createTollgate({
  ...options,
  onEvent: (/** @type {{ body?: string }} */ { body: _, ...event }) => events.push(event),
});
const passed = openSync(file, 'a');
const STATUSES = [200, 201, 304, 404, 500];
let calls = 0;

const server = createServer(
  tollgate.node((/** @type {any} */ request, /** @type {any} */ response) => {
    const { at, keyId, resourcePath } = tollgate.decisionOf(request);
    const status = STATUSES[(calls += 1) % STATUSES.length] ?? 200;
    const bytes = status === 304 ? 0 : calls % 1_000;
    const call = { at, keyId, resourcePath, method: request.method, status, bytes };
    writeSync(passed, `${JSON.stringify(call)}\n`);
    response.statusCode = status;
    response.end('x'.repeat(bytes));
  }),
);
await new Promise((resolve) =>
  server.listen({ port: 0, host: '127.0.0.1' }, () => resolve(undefined)),
);
const address = server.address();
const port = typeof address === 'object' && address ? address.port : 0;
const agent = new Agent({ keepAlive: true });
const stop = new AbortController();

/** @param {number} client */
async function callForEver(client) {
  for (let n = 0; !stop.signal.aborted; n += 1) {
    const headers = { 'x-api-key': apiKeys[n % apiKeys.length] };
    const method = n % 3 === 0 ? 'POST' : 'GET';
    const path = n % 2 === 0 ? '/pets' : `/pets/${client}`;
    await new Promise((resolve) => {
      const call = request(
        { host: '127.0.0.1', port, agent, headers, method, path },
        (response) => {
          response.resume();
          response.once('close', resolve);
        },
      );
      call.once('error', resolve);
      call.end();
    });
    await sleep(n % 7);
  }
}

process.once('message', () => stop.abort());
process.send?.('ready');
await Promise.all(Array.from({ length: clients }, (_, client) => callForEver(client)));
const closed = new Promise((resolve) => server.close(resolve));
server.closeAllConnections();
await closed;
await tollgate.close();
process.send?.({ events });
process.disconnect();
