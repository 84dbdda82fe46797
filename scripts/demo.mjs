// @ts-check
/**
 * `npm run demo`: the whole loop on an installation of its own. Real gateways, real calls, a month that passes in a second,
 * invoices, and the check that what passed is what was metered is what was invoiced.
 */
import { createServer } from 'node:http';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { setTimeout as sleep } from 'node:timers/promises';
import { entryOf } from './build.mjs';
import { STAGE } from './demo/catalogue.mjs';
import { createClient } from './demo/client.mjs';
import { findNginx, startNginx } from './demo/processes.mjs';
import { createPetstore, noCounts, sendCalls } from './demo/traffic.mjs';
import { freePort } from './free-port.mjs';
import { prepareHome } from './launcher/home.mjs';
import { bringUp, supervise } from './launcher/main.mjs';
import { shown } from './launcher/processes.mjs';
import { Refusal, step } from './launcher/report.mjs';
import { ROOT } from './root.mjs';
import { plantDemo } from './seed-demo.mjs';

/** @typedef {import('./demo/client.mjs').Client} Client */
/** @typedef {import('./demo/client.mjs').Json} Json */
/** @typedef {import('./demo/traffic.mjs').Counts} Counts */
/** @typedef {import('./launcher/main.mjs').Undo} Undo */
/** @typedef {import('./seed-demo.mjs').Demo} Demo */

/**
 * @typedef {object} Installation
 * @property {string} url
 * @property {Client} client
 * @property {string} home
 *
 * @typedef {object} Row what became of one customer's calls
 * @property {string} customer
 * @property {string} plan
 * @property {Counts} counts as the customer saw it
 * @property {string} metered calls
 * @property {string} invoiced calls
 * @property {Json} invoice
 * @property {string} pdf
 * @property {string} csv
 */

/** How each plan is used: past its rate, past its quota, and within it. */
const LOADS = {
  basic: { calls: 240, perSecond: 40 },
  professional: { calls: 2_300, perSecond: 430 },
  enterprise: { calls: 1_500, perSecond: 280 },
};
const STRANGERS = [
  { apiKey: undefined, calls: 20, perSecond: 10 },
  { apiKey: 'a-key-that-nobody-was-given', calls: 20, perSecond: 10 },
];
/** Ten times what gateways wait for a decision by default: a busy machine should show limits and not its own slowness. */
const DEADLINE_MS = 2_000;
const WAIT_SECONDS_MAX = 30;
const DAY_MS = 86_400_000;
const BAR_WIDTH = 24;

/**
 * @param {string[]} [args] the folder for the invoices; `demo-invoices` when left out
 */
export async function run([folder = join(ROOT, 'demo-invoices')] = []) {
  const startedAt = Date.now();
  const output = resolve(folder);
  console.log('The demo runs on an installation of its own, which is gone at the end.\n');
  const stop = await supervise(async (undo) => {
    const installation = await startInstallation(undo);
    const { client } = installation;
    const demo = await step('Importing the Petstore, three plans, three customers', () =>
      prepareDemo(client),
    );
    const traffic = await callThroughGateways(installation, demo, undo);
    const metered = await waitUntilMetered(client, demo, traffic);
    const invoices = await closeMonth(client, demo);
    const rows = await issueInvoices(client, { demo, traffic, metered, invoices, output });
    writeFileSync(
      join(output, 'result.json'),
      `${JSON.stringify({ rows, strangers: traffic.strangers }, undefined, 2)}\n`,
    );
    console.log(report(rows, output));
    refuseDifferences(rows);
    const seconds = ((Date.now() - startedAt) / 1_000).toFixed(0);
    console.log(
      `\nEvery call that passed was metered and invoiced, and no other. ${seconds} s in all.`,
    );
  });
  await stop();
}

/**
 * @param {Undo} undo
 * @returns {Promise<Installation>}
 */
async function startInstallation(undo) {
  hideOwnSettings();
  const home = mkdtempSync(join(tmpdir(), 'tollgate-demo-'));
  undo.push(() => rmSync(home, { recursive: true, force: true }));
  prepareHome(home);
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const { env } = await bringUp(
    {
      home,
      port,
      host: '127.0.0.1',
      url,
      databaseUrl: undefined,
      redisUrl: undefined,
      isThrowAway: true,
    },
    undo,
  );
  return { url, home, client: createClient({ url, token: env['TOLLGATE_OPERATOR_TOKEN'] ?? '' }) };
}

/** Keeps what the developer has set out of the demo, and the demo out of the developer's data. */
function hideOwnSettings() {
  for (const name of Object.keys(process.env)) {
    if (/^(TOLLGATE_|STRIPE_|AWS_MARKETPLACE_|DATABASE_URL|REDIS_URL)/.test(name)) {
      delete process.env[name];
    }
  }
}

/**
 * Seeds the demo on the 12th of next month, so that no day or month ends amid the traffic.
 *
 * @param {Client} client
 */
async function prepareDemo(client) {
  const { now } = await client.get('/test-clock');
  const today = new Date(now);
  const twelfth = Date.UTC(today.getUTCFullYear(), today.getUTCMonth() + 1, 12, 9);
  await client.post('/test-clock', { now: new Date(twelfth).toISOString() });
  await client.patch('/account', {
    name: 'Petstore',
    legalName: 'Petstore Ltd.',
    address: '1 Kennel Lane\nLondon E1 6AN\nUnited Kingdom',
  });
  return plantDemo(client);
}

/**
 * Has every customer, and some strangers, call through each gateway.
 *
 * @param {Installation} installation
 * @param {Demo} demo
 * @param {Undo} undo
 */
async function callThroughGateways(installation, demo, undo) {
  const gateways = await step('Starting the gateways', (note) =>
    startGateways(installation, demo, undo, note),
  );
  const customers = demo.seats.map(({ plan, customer, key }) => ({
    name: String(customer['name']),
    apiKey: String(key['value']),
    ...LOADS[/** @type {keyof typeof LOADS} */ (plan['name'])],
    counts: noCounts(),
  }));
  const strangers = noCounts();
  const loads = [...customers, ...STRANGERS.map((load) => ({ ...load, counts: strangers }))];
  const total = loads.reduce((sum, { calls }) => sum + calls, 0);
  const everyone = [...customers, { name: 'strangers', counts: strangers }];
  const sent = () => everyone.reduce((sum, { counts }) => sum + counts.sent, 0);
  await step(`Sending ${total.toLocaleString('en')} calls`, async (note) => {
    const stopShowing = showProgress(note, total, sent);
    try {
      await Promise.all(
        loads.map(({ counts, ...load }) => sendCalls(load, gateways.addresses, counts)),
      );
    } finally {
      stopShowing();
    }
  });
  for (const { name, counts } of everyone) console.log(`  ${name.padEnd(12)} ${summaryOf(counts)}`);
  await step('Stopping the gateways, which report what is left', gateways.stop);
  return { counts: customers.map(({ counts }) => counts), strangers };
}

/** @param {Counts} counts */
function summaryOf({ sent, passed, throttled, overQuota, forbidden, other }) {
  /** @type {[number, string][]} */
  const kinds = [
    [passed, 'passed'],
    [throttled, '× 429 Too Many Requests'],
    [overQuota, '× 429 Limit Exceeded'],
    [forbidden, '× 403 Forbidden'],
    [other, 'failed'],
  ];
  const seen = kinds
    .filter(([count]) => count !== 0)
    .map(([count, kind]) => `${count.toLocaleString('en')} ${kind}`);
  return `${sent.toLocaleString('en').padStart(6)} calls: ${seen.join(', ')}`;
}

/**
 * Shows how far it is: a bar that moves on a terminal, a line for each quarter elsewhere.
 *
 * @param {(text: string) => void} note
 * @param {number} total
 * @param {() => number} done
 */
function showProgress(note, total, done) {
  const isTTY = process.stdout.isTTY;
  let quarter = 0;
  const timer = setInterval(() => {
    const share = done() / total;
    const isDue = isTTY || Math.floor(share * 4) > quarter;
    if (!isDue) return;
    quarter = Math.floor(share * 4);
    const filled = Math.round(share * BAR_WIDTH);
    const bar = '█'.repeat(filled) + '░'.repeat(BAR_WIDTH - filled);
    note(`${bar} ${done().toLocaleString('en')} of ${total.toLocaleString('en')} calls`);
  }, 100);
  return () => clearInterval(timer);
}

/**
 * A pet store behind the Node plugin and, where it is installed, behind nginx.
 *
 * @param {Installation} installation
 * @param {Demo} demo
 * @param {Undo} undo
 * @param {(text: string) => void} note
 */
async function startGateways({ url, client, home }, { api }, undo, note) {
  /** Done last first. @type {(() => unknown)[]} */
  const ends = [];
  /** @type {Promise<void> | undefined} */
  let stopped;
  const stop = () =>
    (stopped ??= (async () => {
      for (const end of ends.reverse()) await end();
    })());
  undo.push(stop);

  const petstore = createPetstore();
  const applicationPort = await listen(petstore);
  ends.push(() => close(petstore));
  const plugin = join(entryOf('api'), '../../../../libs/gateway-plugin/src/index.js');
  const { createTollgate } = await import(pathToFileURL(plugin).href);
  const tollgate = createTollgate({
    url,
    token: await gatewayToken(client, 'node'),
    apiId: api['id'],
    stage: STAGE,
    deadlineMs: DEADLINE_MS,
  });
  ends.push(() => tollgate.close());
  const server = createServer(
    tollgate.node((/** @type {unknown} */ request, /** @type {unknown} */ response) =>
      petstore.emit('request', request, response),
    ),
  );
  const addresses = [`http://127.0.0.1:${await listen(server)}`];
  ends.push(() => close(server));

  const program = findNginx();
  if (program) {
    const nginx = await startNginx({
      program,
      folder: home,
      tollgateUrl: url,
      token: await gatewayToken(client, 'nginx'),
      apiId: api['id'],
      stage: STAGE,
      deadlineMs: DEADLINE_MS,
      applicationPort,
    });
    ends.push(nginx.stop);
    addresses.push(`http://127.0.0.1:${nginx.port}`);
    note('nginx with tollgate collect, and the Node plugin, before a pet store');
  } else {
    note('nginx is not installed and left out: every call goes through the Node plugin');
  }
  return { addresses, stop };
}

/** @param {import('node:http').Server} server */
async function close(server) {
  const closed = new Promise((done) => server.close(done));
  server.closeAllConnections();
  await closed;
}

/**
 * @param {Client} client
 * @param {string} name
 */
async function gatewayToken(client, name) {
  const gateway = await client.post('/gateways', { name });
  return String(gateway['token']);
}

/**
 * @param {import('node:http').Server} server
 * @returns {Promise<number>}
 */
async function listen(server) {
  await new Promise((done) => server.listen({ port: 0, host: '127.0.0.1' }, () => done(undefined)));
  const address = server.address();
  return typeof address === 'object' && address ? address.port : 0;
}

/**
 * Waits until the worker has rolled up as many calls as passed.
 *
 * @param {Client} client
 * @param {Demo} demo
 * @param {{ counts: Counts[] }} traffic
 * @returns {Promise<string[]>} calls, by customer
 */
async function waitUntilMetered(client, { seats }, { counts }) {
  const { now } = await client.get('/test-clock');
  const day = Math.floor(Date.parse(now) / DAY_MS) * DAY_MS;
  const query = new URLSearchParams({
    from: new Date(day).toISOString(),
    to: new Date(day + DAY_MS).toISOString(),
    groupBy: 'customerId',
    meter: 'calls',
  });
  const wanted = counts.map(({ passed }) => String(passed));
  const isWhole = (/** @type {string[]} */ metered) => metered.join() === wanted.join();
  return step('Metering', async () => {
    const metered = await waitFor(async () => {
      const { items } = await client.get(`/usage?${query.toString()}`);
      return seats.map(({ customer }) => {
        const item = items.find((/** @type {Json} */ one) => one['customerId'] === customer['id']);
        return String(item?.['quantity'] ?? '0');
      });
    }, isWhole);
    const gaps = await client.get('/usage/gaps');
    if (!isWhole(metered) || gaps['items'].length > 0) {
      throw new Refusal(
        `Calls were lost or counted twice: ${wanted.join(', ')} passed, ${metered.join(', ')} were metered, ${gaps['items'].length} gateways have gaps.`,
      );
    }
    return metered;
  });
}

/**
 * Lets the month end everywhere, and waits for its invoices.
 *
 * @param {Client} client
 * @param {Demo} demo
 */
async function closeMonth(client, { seats }) {
  const now = new Date((await client.get('/test-clock'))['now']);
  const after = new Date(Date.UTC(now.getUTCFullYear(), now.getUTCMonth() + 1, 2));
  const drafts = await step(`Moving the clock to ${after.toISOString().slice(0, 10)}`, async () => {
    await client.post('/test-clock', { now: after.toISOString() });
    return waitFor(
      () => client.list('/invoices', { status: 'draft' }),
      (list) => list.length >= seats.length,
    );
  });
  return seats.map(({ subscription, customer }) => {
    const own = drafts.filter(({ subscriptionId }) => subscriptionId === subscription['id']);
    const [draft] = own;
    if (!draft || own.length > 1) {
      throw new Refusal(`${customer['name']} has ${own.length} invoices for the month, and not 1.`);
    }
    return draft;
  });
}

/**
 * Finalises the invoices and saves them, for customers and for finance.
 *
 * @param {Client} client
 * @param {object} of
 * @param {Demo} of.demo
 * @param {{ counts: Counts[] }} of.traffic
 * @param {string[]} of.metered
 * @param {Json[]} of.invoices
 * @param {string} of.output
 */
async function issueInvoices(client, { demo, traffic, metered, invoices, output }) {
  return step('Finalising and saving the invoices', async () => {
    mkdirSync(output, { recursive: true });
    /** @type {Row[]} */
    const rows = [];
    for (const [index, { customer, plan }] of demo.seats.entries()) {
      const invoice = await client.post(`/invoices/${invoices[index]?.['id']}/finalise`);
      const lines = /** @type {Json[]} */ (invoice['lines']);
      const pdf = join(output, `${invoice['number']}.pdf`);
      const csv = join(output, `${invoice['number']}.csv`);
      writeFileSync(pdf, await client.bytes(`/invoices/${invoice['id']}/pdf`));
      writeFileSync(csv, await client.bytes(`/invoices/${invoice['id']}/csv`));
      rows.push({
        customer: customer['name'],
        plan: plan['name'],
        counts: traffic.counts[index] ?? noCounts(),
        metered: metered[index] ?? '0',
        invoiced: String(lines.find(({ meter }) => meter === 'calls')?.['quantity'] ?? '0'),
        invoice,
        pdf,
        csv,
      });
    }
    for (const name of ['invoice-register.csv', 'invoice-lines.csv']) {
      writeFileSync(join(output, name), await client.bytes(`/exports/${name}`));
    }
    return rows;
  });
}

/**
 * @param {Row[]} rows
 * @param {string} output
 */
function report(rows, output) {
  const header = [
    'customer',
    'plan',
    'sent',
    'passed',
    'throttled',
    'over quota',
    'metered',
    'invoiced',
    'invoice',
    'total',
  ];
  const cells = rows.map(({ customer, plan, counts, metered, invoiced, invoice }) => [
    customer,
    plan,
    ...[counts.sent, counts.passed, counts.throttled, counts.overQuota, metered, invoiced].map(
      (count) => Number(count).toLocaleString('en'),
    ),
    invoice['number'],
    `${invoice['currency']} ${grouped(invoice['total']['amount'])}`,
  ]);
  const widths = header.map((name, column) =>
    Math.max(name.length, ...cells.map((row) => row[column]?.length ?? 0)),
  );
  const line = (/** @type {string[]} */ row) =>
    row
      .map((cell, column) => {
        const width = widths[column] ?? 0;
        const isNumber = column >= 2 && column !== 8;
        return isNumber ? cell.padStart(width) : cell.padEnd(width);
      })
      .join('  ');
  return [
    '',
    line(header),
    line(widths.map((width) => '─'.repeat(width))),
    ...cells.map(line),
    '',
    ...rows.map(({ pdf, csv }) => `  ${shown(pdf)}  ${shown(csv)}`),
    `  ${shown(join(output, 'invoice-register.csv'))}  ${shown(join(output, 'invoice-lines.csv'))}`,
  ].join('\n');
}

/** @param {string} amount such as "31869" or "1234.50", which no float is made of */
function grouped(amount) {
  const [whole = '', ...rest] = amount.split('.');
  return [whole.replaceAll(/\B(?=(\d{3})+$)/g, ','), ...rest].join('.');
}

/** @param {Row[]} rows */
function refuseDifferences(rows) {
  const faults = rows.flatMap(({ customer, counts, metered, invoiced, invoice }) => {
    const { passed, other } = counts;
    const lines = /** @type {Json[]} */ (invoice['lines']);
    const sum = lines.reduce((total, { amount }) => total + BigInt(amount.minor), 0n);
    return [
      ...(other > 0 ? [`${other} calls of ${customer} failed`] : []),
      ...(metered === String(passed)
        ? []
        : [`${passed} calls of ${customer} passed and ${metered} were metered`]),
      ...(invoiced === String(passed)
        ? []
        : [`${passed} calls of ${customer} passed and ${invoiced} were invoiced`]),
      ...(String(sum) === invoice['total'].minor
        ? []
        : [`the lines of ${invoice['number']} do not add up to its total`]),
    ];
  });
  if (faults.length > 0) throw new Refusal(`It does not add up: ${faults.join('; ')}.`);
}

/**
 * Asks until the answer is as wanted, or for too long; answers the last one in both cases.
 *
 * @template T
 * @param {() => Promise<T>} ask
 * @param {(answer: T) => boolean} isWanted
 */
async function waitFor(ask, isWanted) {
  const deadline = Date.now() + WAIT_SECONDS_MAX * 1_000;
  let answer = await ask();
  while (!isWanted(answer) && Date.now() < deadline) {
    await sleep(150);
    answer = await ask();
  }
  return answer;
}
