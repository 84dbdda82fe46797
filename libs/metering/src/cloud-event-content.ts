import type { CloudEvent } from './cloud-event.js';

/** Those of the distributed tracing extension, which change on every hop. */
const OF_THE_WAY: ReadonlySet<string> = new Set(['traceparent', 'tracestate']);

/**
 * What an event says, as text: the same for the same facts, whatever the mode it came in, the order of members and
 * the spelling of its time. Two events of one source and id with other texts contradict each other.
 */
export function eventContent({ json, atMicros }: CloudEvent): string {
  let content = '';
  for (const name of namesOf(json)) content += `${name}=${contentOf(name, json, atMicros)}\n`;
  return content;
}

let lastKeys: readonly string[] = [];
let lastNames: readonly string[] = [];

/** The names that count, in order; events that come together mostly have the same. */
function namesOf(json: CloudEvent['json']): readonly string[] {
  const keys = Object.keys(json);
  if (keys.length === lastKeys.length && keys.every((key, n) => key === lastKeys[n]))
    return lastNames;
  const names = new Set(keys);
  if (names.has('data')) names.add('datacontenttype');
  lastKeys = keys;
  lastNames = [...names].filter((name) => !OF_THE_WAY.has(name)).sort();
  return lastNames;
}

function contentOf(
  name: string,
  json: Readonly<Record<string, unknown>>,
  atMicros: number | null,
): string {
  const value = json[name];
  switch (name) {
    case 'data':
      return canonicalJson(value);
    case 'time':
      return String(atMicros);
    case 'datacontenttype':
      // JSON is what data is when nothing says otherwise.
      return (typeof value === 'string' ? value : 'application/json')
        .toLowerCase()
        .replace(/[ \t]*;[ \t]*charset="?utf-8"?[ \t]*$/, '');
    default:
      // In binary mode whole numbers and booleans are texts.
      return String(value);
  }
}

/** JSON without blanks, the members of each object by name. */
export function canonicalJson(value: unknown): string {
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(',')}]`;
  const members = value as Record<string, unknown>;
  const names = Object.keys(members).sort();
  return `{${names.map((name) => `${JSON.stringify(name)}:${canonicalJson(members[name])}`).join(',')}}`;
}
