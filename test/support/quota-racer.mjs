// @ts-check
/**
 * A client process of a race for a quota: on `go` it asks for one call after the other, on several connections to
 * each of the given apis, until all of them refuse for a while. It tells how many it was allowed.
 */
import { Agent, request } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';

const [token = '', call = '', ...urls] = process.argv.slice(2);
const CONNECTIONS = 3;
/** Longer than an api believes that a quota is used up. */
const REFUSED_MS = 1_200;

/** @param {string} url @param {Agent} agent @returns {Promise<boolean>} */
function isAllowed(url, agent) {
  return new Promise((resolve, reject) => {
    const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' };
    request(`${url}/v1/decisions`, { method: 'POST', agent, headers }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (chunk) => (text += chunk));
      response.on('end', () => {
        const { allowed, reason } = JSON.parse(text);
        if (allowed || reason === 'quota-exceeded') resolve(allowed);
        else reject(new Error(text));
      });
    })
      .on('error', reject)
      .end(call);
  });
}

let allowed = 0;

/** @param {string} url */
async function race(url) {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  for (let lastAllowed = performance.now(); performance.now() - lastAllowed < REFUSED_MS;) {
    if (await isAllowed(url, agent)) {
      allowed += 1;
      lastAllowed = performance.now();
    } else {
      await sleep(5);
    }
  }
  agent.destroy();
}

const run = async () => {
  await Promise.all(urls.flatMap((url) => Array.from({ length: CONNECTIONS }, () => race(url))));
  process.send?.({ allowed });
  process.disconnect();
};
process.once('message', () => void run());
process.send?.({ ready: true });
