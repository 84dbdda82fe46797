// @ts-check
/** Puts the demo into an account, through the public HTTP API, and says what can be tried with it. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createClient } from './demo/client.mjs';
import { API_NAME, OFFERS, STAGE } from './demo/catalogue.mjs';
import { writePrivateFile } from './files.mjs';
import { ROOT } from './root.mjs';

/** @typedef {import('./demo/client.mjs').Client} Client */
/** @typedef {import('./demo/client.mjs').Json} Json */

/**
 * @typedef {object} Seat a customer on a plan
 * @property {Json} plan
 * @property {Json} customer
 * @property {Json} key with its value
 * @property {Json} subscription
 *
 * @typedef {{ api: Json, seats: Seat[] }} Demo
 */

/**
 * Seeds the demo once. Later calls find what is there, and leave alone what was deleted since.
 *
 * @param {object} options
 * @param {string} options.url of the service
 * @param {string} options.operatorToken
 * @param {string} options.gatewayToken
 * @param {string} options.home where the headers of the printed commands are kept
 * @returns {Promise<string[]>} lines that tell what can be tried; none when the demo was deleted
 */
export async function seed({ url, operatorToken, gatewayToken, home }) {
  const client = createClient({ url, token: operatorToken });
  const done = join(home, 'demo-seeded-in');
  const { id: accountId } = await client.get('/account');
  const isSeeded = existsSync(done) && readFileSync(done, 'utf8').trim() === accountId;
  const demo = isSeeded ? await findDemo(client) : await plantDemo(client);
  if (!isSeeded) writePrivateFile(done, `${accountId}\n`);
  if (!demo) return [];
  const [first] = demo.seats;
  if (!first) return [];

  // Tokens stay out of the printed lines, and of the shell's history when these are pasted.
  const operator = keepHeader(join(home, 'operator.header'), operatorToken);
  const gateway = keepHeader(join(home, 'gateway.header'), gatewayToken);
  const question = {
    apiKey: first.key['value'] ?? 'the key',
    apiId: demo.api['id'],
    stage: STAGE,
    method: 'GET',
    path: '/pets/42',
  };
  const json = `-H 'content-type: application/json'`;
  return [
    `Demo: the api ${API_NAME} (${demo.api['id']}), stage ${STAGE}, and a customer on each plan:`,
    ...demo.seats.map(
      ({ plan, customer, key }) =>
        `  ${plan['name'].padEnd(14)}${customer['name'].padEnd(13)}${key['value'] ?? `(ends with ${key['lastFour']})`}`,
    ),
    '',
    'Try: may this call pass? Who may call how often? What would the month cost now?',
    `  curl -H ${gateway} ${json} -d '${JSON.stringify(question)}' ${url}/v1/decisions`,
    `  curl -H ${operator} ${url}/v1/usage-plans`,
    `  curl -H ${operator} ${url}/v1/subscriptions/${first.subscription['id']}/preview`,
  ];
}

/**
 * Writes a header that `curl -H @file` sends, and returns that argument.
 *
 * @param {string} path
 * @param {string} token
 */
function keepHeader(path, token) {
  writePrivateFile(path, `Authorization: Bearer ${token}\n`);
  return /^[\w./:-]+$/.test(path) ? `@${path}` : `'@${path.replaceAll("'", `'\\''`)}'`;
}

/**
 * Creates of the demo what is not there, by name; so it can be repeated after an end in the middle.
 *
 * @param {Client} client
 * @returns {Promise<Demo>}
 */
export async function plantDemo(client) {
  const api = await plantApi(client);
  const seats = await Promise.all(
    OFFERS.map(async (offer) => {
      const [plan, customer, rateCard] = await Promise.all([
        plant(client, '/usage-plans', {
          ...offer.plan,
          apiStages: [{ apiId: api['id'], stage: STAGE }],
        }),
        plant(client, '/customers', offer.customer),
        plant(client, '/rate-cards', offer.rateCard),
      ]);
      const customerId = customer['id'];
      const key = await plant(client, '/api-keys', { customerId, name: keyName(offer) });
      await plantPlanKey(client, plan, key);
      const subscription = await plantSubscription(client, { plan, customer, rateCard });
      return { plan, customer, key: await withValue(client, key), subscription };
    }),
  );
  return { api, seats };
}

/**
 * The demo as it was seeded; undefined when a part of it is gone.
 *
 * @param {Client} client
 * @returns {Promise<Demo | undefined>}
 */
async function findDemo(client) {
  const api = await find(client, '/apis', API_NAME);
  const seats = await Promise.all(
    OFFERS.map(async (offer) => {
      const [plan, customer] = await Promise.all([
        find(client, '/usage-plans', offer.plan.name),
        find(client, '/customers', offer.customer.name),
      ]);
      const customerId = customer?.['id'];
      if (!plan || !customerId) return undefined;
      const [key, subscription] = await Promise.all([
        find(client, '/api-keys', keyName(offer), { customerId }),
        findSubscription(client, plan, customer),
      ]);
      if (!key || !subscription) return undefined;
      return { plan, customer, key: await withValue(client, key), subscription };
    }),
  );
  if (!api || !seats.every((seat) => seat !== undefined)) return undefined;
  return { api, seats };
}

/** @param {(typeof OFFERS)[number]} offer */
function keyName(offer) {
  return `${offer.customer.name}, ${offer.plan.name}`;
}

/** @param {Client} client */
async function plantApi(client) {
  const document = readFileSync(join(ROOT, 'examples', 'petstore.openapi.yaml'), 'utf8');
  const api = await plant(client, '/apis', { name: API_NAME, document });
  const stages = await client.list(`/apis/${api['id']}/stages`);
  if (!stages.some(({ name }) => name === STAGE)) {
    await client.post(`/apis/${api['id']}/stages`, { name: STAGE });
  }
  return api;
}

/**
 * @param {Client} client
 * @param {Json} plan
 * @param {Json} key
 */
async function plantPlanKey(client, plan, key) {
  const keys = await client.list(`/usage-plans/${plan['id']}/keys`);
  if (keys.some(({ keyId }) => keyId === key['id'])) return;
  await client.post(`/usage-plans/${plan['id']}/keys`, { keyId: key['id'] });
}

/**
 * A subscription from the start of the present month, as the customer's calendar has it.
 *
 * @param {Client} client
 * @param {{ plan: Json, customer: Json, rateCard: Json }} of
 */
async function plantSubscription(client, { plan, customer, rateCard }) {
  const existing = await findSubscription(client, plan, customer);
  if (existing) return existing;
  const { now } = await client.get('/test-clock');
  const rule = { kind: 'calendar', interval: 'month', timezone: customer['timezone'] };
  const month = { rule, at: now, which: 'containing' };
  const { from } = await client.post('/billing-periods/preview', month);
  return client.post('/subscriptions', {
    customerId: customer['id'],
    usagePlanId: plan['id'],
    rateCardId: rateCard['id'],
    startsAt: from,
  });
}

/**
 * @param {Client} client
 * @param {Json} plan
 * @param {Json} customer
 */
async function findSubscription(client, plan, customer) {
  const subscriptions = await client.list('/subscriptions', { customerId: customer['id'] });
  return subscriptions.find(({ usagePlanId }) => usagePlanId === plan['id']);
}

/**
 * A key that was just made has its value; others show it where the account keeps values.
 *
 * @param {Client} client
 * @param {Json} key
 */
async function withValue(client, key) {
  if (key['value']) return key;
  return client.get(`/api-keys/${key['id']}?includeValue=true`);
}

/**
 * @param {Client} client
 * @param {string} path of a list
 * @param {string} name
 * @param {Record<string, string>} [query]
 */
async function find(client, path, name, query = {}) {
  const items = await client.list(path, query);
  return items.find((item) => item['name'] === name);
}

/**
 * The object of that name, made when there is none.
 *
 * @param {Client} client
 * @param {string} path of a list
 * @param {Json & { name: string }} body
 */
async function plant(client, path, body) {
  const query = body['customerId'] ? { customerId: body['customerId'] } : {};
  return (await find(client, path, body.name, query)) ?? client.post(path, body);
}
