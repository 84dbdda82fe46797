import { parseArgs } from 'node:util';
import type { CollectOptions } from './collect/collect-options.js';
import { REPORTS, type ReportName } from './exports/report.js';
import type { Service, WantedExport } from './exports/service.js';
import { LogFormatFault, PRESETS, readLogFormat, type LogFormat } from './collect/log-format.js';

/** The command line cannot be understood. */
export class UsageFault extends Error {
  override readonly name = 'UsageFault';
}

/** What the user asked for. */
export type Command =
  | { readonly name: 'help' }
  | { readonly name: 'collect'; readonly options: CollectOptions }
  | { readonly name: 'exports'; readonly service: Service }
  | {
      readonly name: 'export';
      readonly service: Service;
      readonly wanted: WantedExport;
      readonly path: string;
    }
  | {
      readonly name: 'report';
      readonly service: Service;
      readonly report: ReportName;
      readonly wanted: WantedExport;
      /** As CSV, instead of a table and bars. */
      readonly isCsv: boolean;
    }
  | {
      readonly name: 'explain';
      readonly service: Service;
      readonly invoiceId: string;
      readonly lineId: string;
    }
  | {
      readonly name: 'stuck';
      readonly service: Service;
      /** One to be tried again or settled; null lists them. */
      readonly settle: {
        readonly how: 'retry' | 'resolve';
        readonly id: string;
        readonly reason: string;
      } | null;
    }
  | { readonly name: 'verify-statement'; readonly path: string; readonly keys: string };

/** The text of `tollgate --help`. */
export function help(): string {
  return `Usage: tollgate collect <access log> [options]
       tollgate exports | export <name> | report <name> [options]
       tollgate explain <invoice id> <line id> [--url <url>]
       tollgate stuck [retry | resolve <id> --reason <text>] [--url <url>]
       tollgate verify-statement <file> [--keys <file or url>]

collect follows a gateway's JSON access log and reports the calls that passed to Tollgate, each exactly once:
across restarts, kill -9, rotation (rename or copytruncate) and outages of the service.

Options of collect:
  --format <format>      ${Object.keys(PRESETS).join(', ')}, or a JSON file that says where the fields are; default nginx
  --url <url>            the service; default $TOLLGATE_URL or http://127.0.0.1:3000
  --state <file>         where the position is kept; default <access log>.tollgate-state
  --set-aside <file>     where lines are kept that cannot be counted; default <access log>.tollgate-set-aside
  --interval <ms>        how often new lines are sent; default 1000
  --drain <seconds>      how long SIGTERM waits until all that is written is sent; default 10
  --once                 send what is there and end
  --dry-run              print the first records and send nothing
  --skip-lost            go on although lines that were never sent are gone

The gateway's token comes from $TOLLGATE_GATEWAY_TOKEN.

exports lists the tables for finance, export saves one of them. report shows one with bars, as wide as the terminal: revenue by month, plan
and meter, deferred (revenue) by month, or the ageing of what customers owe.

  --from <instant>       from then on, such as 2026-11-01T00:00:00Z
  --to <instant>         before then
  --format <format>      of export: csv or parquet; default by the ending of --out, else csv
  --csv                  of report: as CSV on the standard output
  --out <file>           where it is saved; default <name>.<format>
  --url <url>            the service, as above

stuck lists what Stripe and marketplaces have not been told or did not take, the oldest first, each with its age, the money in it and
why; retry tries one of it again, resolve says that it is settled elsewhere. Exchanges need --reason for both, which is audited.

explain shows what a line of an invoice was made of. verify-statement tells whether a usage statement is what was signed, by the
public keys of the service or those that --keys names; it needs no token.

The token of an operator comes from $TOLLGATE_TOKEN; of explain a customer's will do.`;
}

/** Reads the arguments, the environment and the format file. Throws a `UsageFault` that says what is wrong. */
export function parseCommand(
  args: readonly string[],
  environment: Readonly<Record<string, string | undefined>>,
  readFile: (path: string) => string,
): Command {
  const { values, positionals } = parsed(args);
  if (values.help === true || positionals.length === 0) return { name: 'help' };
  const [name, log, ...others] = positionals;
  const url = values.url ?? environment['TOLLGATE_URL'] ?? 'http://127.0.0.1:3000';
  if (!URL.canParse(url) || !/^https?:/.test(url))
    throw new UsageFault(`"${url}" is no http(s) URL`);
  if (name === 'exports' || name === 'export' || name === 'report' || name === 'explain')
    return financeCommand(name, [log, ...others], { ...values, url }, environment);
  if (name === 'stuck') return stuckCommand([log, ...others], { ...values, url }, environment);
  if (name === 'verify-statement') {
    if (log === undefined || others.length > 0)
      throw new UsageFault('verify-statement takes one file: tollgate verify-statement x.jsonl');
    const keys = values.keys ?? new URL('/v1/statement-keys', url).href;
    return { name, path: log, keys };
  }
  if (name !== 'collect') throw new UsageFault(`"${name}" is no command; see tollgate --help`);
  if (log === undefined || others.length > 0) {
    throw new UsageFault(
      'collect takes one access log: tollgate collect /var/log/nginx/access.log',
    );
  }
  const token = environment['TOLLGATE_GATEWAY_TOKEN'] ?? '';
  if (token === '' && values['dry-run'] !== true) {
    throw new UsageFault('set TOLLGATE_GATEWAY_TOKEN to the token of this gateway');
  }
  const intervalMs = Number(values.interval ?? 1_000);
  if (!(intervalMs >= 1)) throw new UsageFault('--interval is a number of milliseconds');
  const drainSeconds = Number(values.drain ?? 10);
  if (!(drainSeconds >= 0)) throw new UsageFault('--drain is a number of seconds');
  return {
    name: 'collect',
    options: {
      log,
      format: formatOf(values.format ?? 'nginx', readFile),
      service: { url, token },
      state: values.state ?? `${log}.tollgate-state`,
      setAside: values['set-aside'] ?? `${log}.tollgate-set-aside`,
      intervalMs,
      drainMs: drainSeconds * 1_000,
      isOnce: values.once === true,
      isDryRun: values['dry-run'] === true,
      skipsLost: values['skip-lost'] === true,
    },
  };
}

function financeCommand(
  name: 'exports' | 'export' | 'report' | 'explain',
  [what, ...others]: readonly (string | undefined)[],
  values: Readonly<
    Record<'url', string> &
      Partial<Record<'from' | 'to' | 'out' | 'format', string>> & { readonly csv?: boolean }
  >,
  environment: Readonly<Record<string, string | undefined>>,
): Command {
  const service = serviceOf(values.url, environment);
  if (name === 'explain') {
    const [lineId, ...more] = others;
    if (what === undefined || lineId === undefined || more.length > 0)
      throw new UsageFault('explain takes the id of an invoice and that of one of its lines');
    return { name, service, invoiceId: what, lineId };
  }
  const { from, to } = values;
  if (others.length > 0) throw new UsageFault(`${name} does not take "${others.join(' ')}"`);
  switch (name) {
    case 'exports':
      if (what !== undefined) throw new UsageFault('exports takes no name; see tollgate export');
      return { name, service };
    case 'export': {
      if (what === undefined)
        throw new UsageFault('export takes the name of a table; tollgate exports lists them');
      const byEnding = values.out?.endsWith('.parquet') === true ? 'parquet' : 'csv';
      const format = values.format ?? byEnding;
      if (format !== 'csv' && format !== 'parquet')
        throw new UsageFault('--format of export is csv or parquet');
      return {
        name,
        service,
        wanted: { name: what, format, from, to },
        path: values.out ?? `${what}.${format}`,
      };
    }
    case 'report':
      if (!isReport(what)) {
        const names = Object.keys(REPORTS).join(', ');
        throw new UsageFault(`report takes what to report on: ${names}`);
      }
      return {
        name,
        service,
        report: what,
        wanted: { name: REPORTS[what].export, from, to },
        isCsv: values.csv === true,
      };
  }
}

function stuckCommand(
  [how, id, ...others]: readonly (string | undefined)[],
  { url, reason = '' }: { readonly url: string; readonly reason?: string },
  environment: Readonly<Record<string, string | undefined>>,
): Command {
  const service = serviceOf(url, environment);
  if (how === undefined) return { name: 'stuck', service, settle: null };
  if ((how !== 'retry' && how !== 'resolve') || id === undefined || others.length > 0)
    throw new UsageFault('stuck takes nothing, or retry or resolve and the id of one');
  if (id.startsWith('mrec_') && how === 'resolve')
    throw new UsageFault('a metering record is carried or written off: see docs/marketplace.md');
  if (reason === '' && !id.startsWith('mrec_'))
    throw new UsageFault(`${how} needs --reason: it is audited`);
  return { name: 'stuck', service, settle: { how, id, reason } };
}

function serviceOf(
  url: string,
  environment: Readonly<Record<string, string | undefined>>,
): Service {
  const token = environment['TOLLGATE_TOKEN'] ?? '';
  if (token === '') throw new UsageFault('set TOLLGATE_TOKEN to the token of an operator');
  return { url, token };
}

const isReport = (name: string | undefined): name is ReportName =>
  name !== undefined && Object.hasOwn(REPORTS, name);

function formatOf(name: string, readFile: (path: string) => string): LogFormat {
  const preset = Object.hasOwn(PRESETS, name) ? PRESETS[name] : undefined;
  if (preset !== undefined) return preset;
  try {
    return readLogFormat(readFile(name), name);
  } catch (cause) {
    if (cause instanceof LogFormatFault) throw new UsageFault(cause.message, { cause });
    const why = cause instanceof Error ? cause.message : String(cause);
    const known = Object.keys(PRESETS).join(', ');
    throw new UsageFault(`--format is one of ${known}, or a file: ${why}`, { cause });
  }
}

function parsed(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        url: { type: 'string' },
        format: { type: 'string' },
        state: { type: 'string' },
        'set-aside': { type: 'string' },
        interval: { type: 'string' },
        drain: { type: 'string' },
        once: { type: 'boolean' },
        'dry-run': { type: 'boolean' },
        'skip-lost': { type: 'boolean' },
        from: { type: 'string' },
        to: { type: 'string' },
        out: { type: 'string' },
        csv: { type: 'boolean' },
        keys: { type: 'string' },
        reason: { type: 'string' },
        help: { type: 'boolean', short: 'h' },
      },
    });
  } catch (cause) {
    throw new UsageFault(cause instanceof Error ? cause.message : String(cause), { cause });
  }
}
