// @ts-check
import { randomInt } from 'node:crypto';
import { createServer } from 'node:net';

/** Below those that systems give to clients, and to servers that ask for any: such a port is soon somebody's. */
const [FIRST, END] = [20_000, 32_000];
const ATTEMPTS = 100;

/**
 * A port of 127.0.0.1 that nobody listens on now: the preferred one when possible.
 *
 * @param {number} [preferred]
 * @returns {Promise<number>}
 */
export async function freePort(preferred = randomInt(FIRST, END)) {
  let port = preferred;
  for (let attempt = 1; !(await isFree(port)); attempt += 1) {
    if (attempt === ATTEMPTS) throw new Error(`No port of ${FIRST} to ${END} is free.`);
    port = randomInt(FIRST, END);
  }
  return port;
}

/**
 * @param {number} port
 * @returns {Promise<boolean>}
 */
function isFree(port) {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen({ port, host: '127.0.0.1', exclusive: true }, () =>
      server.close(() => resolve(true)),
    );
  });
}
