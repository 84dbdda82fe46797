import { setTimeout as sleep } from 'node:timers/promises';
import { Bench, type Front } from './bench.js';
import { CASE_IDS, CASES } from './cases.js';
import { Links } from './links.js';
import type { CertifyOptions } from './options.js';
import { runCase, type Outcome } from './run.js';
import { Subject } from './subject.js';
import { Upstream } from './upstream.js';

const WORDS: Readonly<Record<Outcome['kind'], string>> = {
  passed: 'pass    ',
  failed: 'FAIL    ',
  declared: 'declared',
  'not-run': 'not run ',
};

/** Runs the table against a gateway that somebody else configured, and prints it. Resolves with whether nothing failed. */
export async function certify(
  options: CertifyOptions,
  print: (line: string) => void,
): Promise<boolean> {
  const links = new Links();
  const upstream = await Upstream.start(options.upstreamPort);
  try {
    const serviceHost = new URL(options.service).host;
    const asked =
      options.linkPort === null ? serviceHost : await links.to(serviceHost, options.linkPort);
    const subject = await Subject.make(
      { url: options.service, operatorToken: options.token },
      { apiId: options.apiId, stage: options.stage },
    );
    print(`The gateway has to ask ${asked} about api ${subject.apiId}, stage ${subject.stage},`);
    print(`and to lead to the application at ${upstream.address}. Waiting until it does.`);
    const { gateway, host, onFailure, deadlineMs } = options;
    const main = { url: gateway, onFailure, deadlineMs, ...(host !== undefined && { host }) };
    const bench = new Bench(
      subject,
      { main, ...whenAway(main, options), stranger: null },
      upstream,
      options.linkPort === null ? null : links,
    );
    await untilConfigured(bench, options.waitMs);
    return await runAll(bench, options, print);
  } finally {
    await links.close();
    await upstream.stop();
  }
}

/** The same gateway in the part that it is configured for. */
function whenAway(main: Front, { linkPort, onFailure }: CertifyOptions) {
  const front = linkPort === null ? null : main;
  return {
    closed: onFailure === 'deny' ? front : null,
    open: onFailure === 'allow' ? front : null,
  };
}

async function untilConfigured({ call, subject }: Bench, waitMs: number): Promise<void> {
  const until = Date.now() + waitMs;
  for (;;) {
    const reached = await call({ key: subject.good }).then(
      (exchange) => exchange.reached !== null,
      () => false,
    );
    if (reached) return;
    if (Date.now() > until) throw new Error('No call with a good key reaches the application.');
    await sleep(200);
  }
}

async function runAll(
  bench: Bench,
  { declared }: CertifyOptions,
  print: (line: string) => void,
): Promise<boolean> {
  const counts: Record<Outcome['kind'], number> = {
    passed: 0,
    failed: 0,
    declared: 0,
    'not-run': 0,
  };
  for (const id of CASE_IDS) {
    const outcome = await runCase(id, bench, declared);
    counts[outcome.kind] += 1;
    print(`${WORDS[outcome.kind]}  ${id.padEnd(26)}${CASES[id].says}`);
    if (outcome.kind !== 'passed') print(outcome.why.replaceAll(/^/gm, ' '.repeat(12)));
  }
  const { passed, failed } = counts;
  print(
    `${passed} passed, ${failed} failed, ${counts.declared} declared, ${counts['not-run']} not run`,
  );
  return failed === 0;
}
