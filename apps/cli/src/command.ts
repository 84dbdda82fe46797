import { parseArgs } from 'node:util';
import type { CollectOptions } from './collect/collect-options.js';
import { LogFormatFault, PRESETS, readLogFormat, type LogFormat } from './collect/log-format.js';

/** The command line cannot be understood. */
export class UsageFault extends Error {
  override readonly name = 'UsageFault';
}

/** What the user asked for. */
export type Command =
  { readonly name: 'help' } | { readonly name: 'collect'; readonly options: CollectOptions };

/** The text of `tollgate --help`. */
export function help(): string {
  return `Usage: tollgate collect <access log> [options]

Follows a gateway's JSON access log and reports the calls that passed to Tollgate, each exactly once:
across restarts, kill -9, rotation (rename or copytruncate) and outages of the service.

Options:
  --format <format>      ${Object.keys(PRESETS).join(', ')}, or a JSON file that says where the fields are; default nginx
  --url <url>            the service; default $TOLLGATE_URL or http://127.0.0.1:3000
  --state <file>         where the position is kept; default <access log>.tollgate-state
  --set-aside <file>     where lines are kept that cannot be counted; default <access log>.tollgate-set-aside
  --interval <ms>        how often new lines are sent; default 1000
  --drain <seconds>      how long SIGTERM waits until all that is written is sent; default 10
  --once                 send what is there and end
  --dry-run              print the first records and send nothing
  --skip-lost            go on although lines that were never sent are gone

The gateway's token comes from $TOLLGATE_GATEWAY_TOKEN.`;
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
  const url = values.url ?? environment['TOLLGATE_URL'] ?? 'http://127.0.0.1:3000';
  if (!URL.canParse(url) || !/^https?:/.test(url))
    throw new UsageFault(`"${url}" is no http(s) URL`);
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
        help: { type: 'boolean', short: 'h' },
      },
    });
  } catch (cause) {
    throw new UsageFault(cause instanceof Error ? cause.message : String(cause), { cause });
  }
}
