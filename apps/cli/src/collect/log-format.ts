import { NotJson, locatedJson, type Located, type LocatedMembers } from './located-json.js';

/** What a line may tell of a call. */
export const FIELDS = [
  'decision',
  'keyId',
  'apiId',
  'stage',
  'method',
  'resourcePath',
  'status',
  'bytesOut',
  'protocol',
  'tollgateTime',
  'time',
] as const;
export type Field = (typeof FIELDS)[number];

/** Where a field comes from: a constant, or a place in the line's JSON and, with a pattern, its first group there. */
export type Source =
  | { readonly constant: string }
  | { readonly path: readonly string[]; readonly pattern: RegExp | null };

/** How a gateway's lines are read. */
export interface LogFormat {
  readonly name: string;
  readonly sources: Readonly<Record<Field, Source>>;
  /** Values of `decision` that mean that the call passed. */
  readonly passed: ReadonlySet<string>;
  /** Whether something, such as what syslog writes, may stand before the JSON. */
  readonly hasPrefix: boolean;
}

/** The format of a file is not understood; the message has a line for each fault, with its place. */
export class LogFormatFault extends Error {
  override readonly name = 'LogFormatFault';
}

const at = (...path: string[]): Source => ({ path, pattern: null });
const group = (path: string, pattern: string): Source => ({
  path: [path],
  pattern: new RegExp(pattern, 'u'),
});

/** The names that `gateways/nginx`, `haproxy` and `envoy` write. */
const OWN_NAMES = Object.fromEntries(FIELDS.map((field) => [field, at(field)])) as Record<
  Field,
  Source
>;

/** The nth word of what `gateways/caddy` puts into `user_id`; the path is the rest. */
const caddyWord = (index: number): Source => group('user_id', `^(?:[^ ]* ){${index}}([^ ]*)`);

/** The formats that the configurations in `gateways/` write. */
export const PRESETS: Readonly<Record<string, LogFormat>> = {
  nginx: { name: 'nginx', sources: OWN_NAMES, passed: new Set(['allowed']), hasPrefix: false },
  haproxy: { name: 'haproxy', sources: OWN_NAMES, passed: new Set(['allowed']), hasPrefix: true },
  envoy: { name: 'envoy', sources: OWN_NAMES, passed: new Set(['allowed']), hasPrefix: false },
  caddy: {
    name: 'caddy',
    sources: {
      decision: caddyWord(0),
      tollgateTime: caddyWord(1),
      keyId: caddyWord(3),
      apiId: caddyWord(5),
      stage: caddyWord(6),
      protocol: caddyWord(7),
      resourcePath: group('user_id', '^(?:[^ ]* ){8}(.*)'),
      method: at('request', 'method'),
      status: at('status'),
      bytesOut: at('size'),
      time: at('ts'),
    },
    passed: new Set(['allowed']),
    hasPrefix: false,
  },
};

/**
 * Reads a format file: a preset and what differs from it.
 *
 *     { "preset": "nginx", "passed": ["allowed"], "prefix": false,
 *       "fields": { "keyId": "auth.key", "apiId": { "value": "a1b2c3d4e5" },
 *                   "resourcePath": { "field": ["request", "uri"], "pattern": "^([^?]*)" } } }
 *
 * Throws a `LogFormatFault` with all faults, each as `file:line: field: what is wrong`.
 */
export function readLogFormat(text: string, file: string): LogFormat {
  const faults = new Faults(file);
  let json: Located;
  try {
    json = locatedJson(text);
  } catch (error) {
    if (!(error instanceof NotJson)) throw error;
    throw new LogFormatFault(`${file}:${error.line}: expected ${error.expected}`, { cause: error });
  }
  const format = formatOf(json, faults, file);
  faults.throwIfAny();
  return format;
}

class Faults {
  private readonly found: { line: number; says: string }[] = [];

  constructor(private readonly file: string) {}

  add({ line }: Located, field: string, says: string): void {
    this.found.push({ line, says: field === '' ? says : `${field}: ${says}` });
  }

  throwIfAny(): void {
    if (this.found.length === 0) return;
    const lines = this.found
      .toSorted((one, other) => one.line - other.line)
      .map(({ line, says }) => `${this.file}:${line}: ${says}`);
    throw new LogFormatFault(lines.join('\n'));
  }
}

function formatOf(json: Located, faults: Faults, name: string): LogFormat {
  const members = membersOf(json);
  const [nginx] = Object.values(PRESETS);
  if (nginx === undefined) throw new Error('there are presets');
  if (members === undefined) {
    faults.add(json, '', 'must be an object');
    return nginx;
  }
  refuseOthers(members, ['preset', 'fields', 'passed', 'prefix'], { faults, inside: '' });
  const preset = members.get('preset');
  const base = typeof preset?.value === 'string' ? PRESETS[preset.value] : undefined;
  if (preset !== undefined && base === undefined)
    faults.add(preset, 'preset', `must be one of: ${Object.keys(PRESETS).join(', ')}`);
  const prefix = members.get('prefix');
  if (prefix !== undefined && typeof prefix.value !== 'boolean')
    faults.add(prefix, 'prefix', 'must be true or false');
  return {
    name,
    sources: { ...(base ?? nginx).sources, ...sourcesOf(members.get('fields'), faults) },
    passed: passedOf(members.get('passed'), faults) ?? (base ?? nginx).passed,
    hasPrefix: typeof prefix?.value === 'boolean' ? prefix.value : (base ?? nginx).hasPrefix,
  };
}

function sourcesOf(fields: Located | undefined, faults: Faults): Partial<Record<Field, Source>> {
  const sources: Partial<Record<Field, Source>> = {};
  if (fields === undefined) return sources;
  const members = membersOf(fields);
  if (members === undefined) {
    faults.add(fields, 'fields', 'must be an object');
    return sources;
  }
  refuseOthers(members, FIELDS, { faults, inside: 'fields.' });
  for (const field of FIELDS) {
    const written = members.get(field);
    if (written !== undefined) sources[field] = sourceOf(written, `fields.${field}`, faults);
  }
  return sources;
}

const SOURCE_SAYS =
  'must be a name such as "request.method", or an object with "field" and perhaps "pattern", or with "value"';

function sourceOf(written: Located, name: string, faults: Faults): Source {
  const path = pathOf(written);
  if (path !== undefined) return { path, pattern: null };
  const members = membersOf(written);
  const value = members?.get('value');
  const field = members?.get('field');
  if (members === undefined || (value === undefined) === (field === undefined)) {
    faults.add(written, name, SOURCE_SAYS);
    return { constant: '' };
  }
  if (value !== undefined) {
    refuseOthers(members, ['value'], { faults, inside: `${name}.` });
    if (typeof value.value === 'string' && value.value !== '') return { constant: value.value };
    faults.add(value, `${name}.value`, 'must be a text');
    return { constant: '' };
  }
  refuseOthers(members, ['field', 'pattern'], { faults, inside: `${name}.` });
  const from = field && pathOf(field);
  if (field !== undefined && from === undefined)
    faults.add(field, `${name}.field`, 'must be a name, or a list of names from the outside in');
  const pattern = members.get('pattern');
  return { path: from ?? [], pattern: pattern ? patternOf(pattern, name, faults) : null };
}

function pathOf({ value }: Located): string[] | undefined {
  if (typeof value === 'string') return value === '' ? undefined : value.split('.');
  if (!Array.isArray(value) || value.length === 0) return undefined;
  const names: unknown[] = value.map((item: Located) => item.value);
  return names.every((name) => typeof name === 'string' && name !== '')
    ? names.map(String)
    : undefined;
}

function patternOf(written: Located, name: string, faults: Faults): RegExp | null {
  const { value } = written;
  try {
    if (typeof value === 'string') {
      const groups = new RegExp(`${value}|`, 'u').exec('')?.length ?? 0;
      if (groups >= 2) return new RegExp(value, 'u');
    }
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
  }
  faults.add(written, `${name}.pattern`, 'must be a regular expression with a group');
  return null;
}

function passedOf(written: Located | undefined, faults: Faults): Set<string> | undefined {
  if (written === undefined) return undefined;
  const { value } = written;
  const items: unknown[] = Array.isArray(value) ? value.map((item: Located) => item.value) : [];
  if (items.length > 0 && items.every((item) => typeof item === 'string' && item !== ''))
    return new Set(items.map(String));
  faults.add(written, 'passed', 'must be a list of texts');
  return undefined;
}

function membersOf({ value }: Located): LocatedMembers | undefined {
  return value instanceof Map ? value : undefined;
}

function refuseOthers(
  members: LocatedMembers,
  known: readonly string[],
  { faults, inside }: { faults: Faults; inside: string },
): void {
  for (const [name, member] of members) {
    if (!known.includes(name))
      faults.add(member, inside + name, `is not known; known are ${known.join(', ')}`);
  }
}
