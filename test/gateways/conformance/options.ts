import { parseArgs } from 'node:util';
import { CASE_IDS, type CaseId } from './cases.js';

/** What a user says of the gateway that is to be certified. */
export interface CertifyOptions {
  readonly gateway: string;
  readonly host: string | undefined;
  readonly service: string;
  readonly token: string;
  /** The api and stage that the gateway is configured for already; without an api one is made. */
  readonly apiId: string | undefined;
  readonly stage: string;
  readonly upstreamPort: number;
  /** Where the gateway asks, so that the way to the service can be cut; null leaves those rows out. */
  readonly linkPort: number | null;
  readonly onFailure: 'allow' | 'deny';
  readonly deadlineMs: number;
  readonly waitMs: number;
  readonly declared: Partial<Record<CaseId, string>>;
}

/** What `--help` prints. */
export const HELP = `Usage: npm run conformance -- --gateway <url> [options]

Tries a gateway with the table of cases that Tollgate's own are tried with, and exits 1 when one fails.

  --gateway <url>        where the gateway listens, http only
  --host <name>          the Host that it answers for; default tollgate.test
  --service <url>        Tollgate; default http://127.0.0.1:3000
  --token <token>        an operator's; default $TOLLGATE_OPERATOR_TOKEN
  --api <id>             the api that the gateway is configured for; default a new one, which is printed
  --stage <name>         its stage; default prod
  --upstream-port <n>    where the application is started that the gateway leads to; default 8080
  --link-port <n>        a way to the service that can be cut: let the gateway ask there
  --on-failure <word>    deny or allow, as the gateway is configured; default deny
  --deadline <ms>        how long a call waits for its decision there; default 200
  --wait <s>             how long to wait for the gateway to be configured; default 300
  --declare <id=reason>  a case that it cannot pass; any number of times`;

/** Reads the arguments. Throws a `TypeError` in one sentence; null when help is asked for. */
export function readOptions(
  args: readonly string[],
  environment: Readonly<Record<string, string | undefined>>,
): CertifyOptions | null {
  const { values } = parseArgs({
    args: [...args],
    options: {
      gateway: { type: 'string' },
      host: { type: 'string' },
      service: { type: 'string', default: 'http://127.0.0.1:3000' },
      token: { type: 'string', default: environment['TOLLGATE_OPERATOR_TOKEN'] ?? '' },
      api: { type: 'string' },
      stage: { type: 'string', default: 'prod' },
      'upstream-port': { type: 'string', default: '8080' },
      'link-port': { type: 'string' },
      'on-failure': { type: 'string', default: 'deny' },
      deadline: { type: 'string', default: '200' },
      wait: { type: 'string', default: '300' },
      declare: { type: 'string', multiple: true, default: [] },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  if (values.help) return null;
  const { gateway = '', service, token } = values;
  if (!/^http:\/\/[^/]+\/?$/.test(gateway)) throw new TypeError('--gateway is an http:// URL');
  if (!URL.canParse(service)) throw new TypeError('--service is a URL');
  if (token === '') throw new TypeError('--token is the token of an operator');
  const onFailure = values['on-failure'];
  if (onFailure !== 'allow' && onFailure !== 'deny') {
    throw new TypeError('--on-failure is deny or allow');
  }
  return {
    gateway,
    host: values.host,
    service,
    token,
    apiId: values.api,
    stage: values.stage,
    upstreamPort: number('--upstream-port', values['upstream-port']),
    linkPort: values['link-port'] === undefined ? null : number('--link-port', values['link-port']),
    onFailure,
    deadlineMs: number('--deadline', values.deadline),
    waitMs: number('--wait', values.wait) * 1_000,
    declared: Object.fromEntries(values.declare.map(declaration)),
  };
}

function number(name: string, text: string): number {
  if (!/^\d{1,6}$/.test(text)) throw new TypeError(`${name} is a whole number`);
  return Number(text);
}

function declaration(text: string): [CaseId, string] {
  const at = text.indexOf('=');
  const id = CASE_IDS.find((known) => known === text.slice(0, at));
  if (id === undefined || at === text.length - 1) {
    throw new TypeError(`--declare is <id=reason>, not "${text}"`);
  }
  return [id, text.slice(at + 1)];
}
