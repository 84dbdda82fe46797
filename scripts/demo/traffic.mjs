// @ts-check
/** The clients of the demo, and the application they call. */
import { Agent, createServer, request } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';

/**
 * @typedef {object} Counts what clients of one kind saw
 * @property {number} sent
 * @property {number} passed
 * @property {number} throttled answered 429 Too Many Requests
 * @property {number} overQuota answered 429 Limit Exceeded
 * @property {number} forbidden answered 403
 * @property {number} other anything else; there should be none
 * @property {number} bytes of the bodies of calls that passed
 */

/**
 * @typedef {object} Load
 * @property {string | undefined} apiKey
 * @property {number} calls
 * @property {number} perSecond
 */

const CONCURRENCY = 16;
const STATUSES = ['available', 'pending', 'sold'];

/** A small pet store; it knows nothing of keys and limits. */
export function createPetstore() {
  return createServer((request, response) => {
    const path = (request.url ?? '').split('?')[0] ?? '';
    const id = Number(path.split('/').at(-1)) || 0;
    const pet = { id, name: `Pet ${id}`, tag: 'cat', status: STATUSES[id % STATUSES.length] };
    const pets = Array.from({ length: 10 }, (_, index) => ({
      ...pet,
      id: index,
      name: `Pet ${index}`,
    }));
    const body = JSON.stringify(path === '/pets' ? pets : pet);
    response.setHeader('content-type', 'application/json');
    response.setHeader('content-length', Buffer.byteLength(body));
    response.end(body);
  });
}

/** @returns {Counts} */
export function noCounts() {
  return { sent: 0, passed: 0, throttled: 0, overQuota: 0, forbidden: 0, other: 0, bytes: 0 };
}

/**
 * Sends calls at a steady pace, to each gateway in turn.
 *
 * @param {Load} load
 * @param {string[]} gateways
 * @param {Counts} counts added to after each answer
 */
export async function sendCalls({ apiKey, calls, perSecond }, gateways, counts) {
  const agent = new Agent({ keepAlive: true, maxSockets: CONCURRENCY });
  const startedAt = performance.now();
  let next = 0;
  const client = async () => {
    for (let call = next++; call < calls; call = next++) {
      const dueInMs = startedAt + (call * 1_000) / perSecond - performance.now();
      if (dueInMs > 0) await sleep(dueInMs);
      const path = call % 7 === 0 ? '/pets' : `/pets/${call}`;
      const url = `${gateways[call % gateways.length]}${path}`;
      count(await get(url, apiKey, agent), counts);
    }
  };
  await Promise.all(Array.from({ length: CONCURRENCY }, client));
  agent.destroy();
}

/** @typedef {{ status: number, bytes: number, body: string }} Answer */

/**
 * @param {Answer} answer
 * @param {Counts} counts
 */
function count({ status, bytes, body }, counts) {
  counts.sent += 1;
  if (status === 200) {
    counts.passed += 1;
    counts.bytes += bytes;
  } else if (status === 429 && body.includes('Too Many Requests')) counts.throttled += 1;
  else if (status === 429 && body.includes('Limit Exceeded')) counts.overQuota += 1;
  else if (status === 403) counts.forbidden += 1;
  else counts.other += 1;
}

/**
 * @param {string} url
 * @param {string | undefined} apiKey
 * @param {Agent} agent
 * @returns {Promise<Answer>}
 */
function get(url, apiKey, agent) {
  return new Promise((resolve, reject) => {
    const headers = apiKey === undefined ? {} : { 'x-api-key': apiKey };
    const call = request(url, { agent, headers }, (response) => {
      /** @type {Buffer[]} */
      const chunks = [];
      response.on('data', (chunk) => chunks.push(chunk));
      response.on('error', reject);
      response.on('end', () => {
        const body = Buffer.concat(chunks);
        resolve({ status: response.statusCode ?? 0, bytes: body.length, body: body.toString() });
      });
    });
    call.on('error', reject);
    call.end();
  });
}
