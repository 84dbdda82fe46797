// @ts-check
/**
 * One gateway with the built plugin, as a process of its own that a test starts and kills: `clients` callers ask it
 * to decide without end, and each call that passed is written to a file at once, so that nothing is lost with the process.
 *
 * node plugin-racer.mjs <path of the plugin> <options as JSON> <path of the file>
 */
import { openSync, writeSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';

const [plugin = '', optionsText = '', file = ''] = process.argv.slice(2);
const { apiKey, clients, pauseMs, ...options } = JSON.parse(optionsText);
const { createTollgate } = await import(pathToFileURL(plugin).href);
/** @type {string[]} */
const events = [];
const tollgate = createTollgate({
  ...options,
  onEvent: (/** @type {{ type: string }} */ { type }) => events.push(type),
});
const log = openSync(file, 'a');
const stop = new AbortController();
/** @type {Record<string, number>} */
const outcomes = {};

/** @param {string} path */
async function callForEver(path) {
  while (!stop.signal.aborted) {
    const decision = await tollgate.decide({ apiKey, method: 'GET', path, sourceIp: '127.0.0.1' });
    const outcome = decision.allowed ? 'allowed' : decision.reason;
    if (decision.allowed) writeSync(log, `${Number(process.hrtime.bigint()) / 1e6}\n`);
    if (outcomes[outcome] === undefined) process.send?.({ first: outcome, at: Date.now() });
    outcomes[outcome] = (outcomes[outcome] ?? 0) + 1;
    await sleep(decision.allowed ? 0 : pauseMs);
  }
}

process.on('message', (message) => {
  if (message === 'forget') for (const outcome of Object.keys(outcomes)) delete outcomes[outcome];
  if (message === 'stop') stop.abort();
  if (message === 'report')
    process.send?.({ outcomes: { ...outcomes }, stats: tollgate.stats(), events });
});

process.send?.('ready');
await Promise.all(Array.from({ length: clients }, (_, client) => callForEver(`/pets/${client}`)));
await tollgate.close();
process.send?.({ outcomes, stats: tollgate.stats(), events });
process.disconnect();
