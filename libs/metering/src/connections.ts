import { atPointer, type FieldFault } from '@core/kernel';
import type { AcceptedTimes } from './accepted-times.js';
import { FAULTS_MAX } from './errors.js';
import { instantMs, isObject, isPlainText, matchesId } from './json-fields.js';

/** A connection that was opened, with the key and the stage that its minutes are charged to. */
export interface OpenedConnection {
  /** Chosen by the gateway, once within its epoch. */
  readonly id: string;
  /** In milliseconds, as every instant here. */
  readonly at: number;
  readonly keyId: string;
  readonly apiId: string;
  readonly stage: string;
}

/** A connection that was closed, whether the batch that opened it came yet or not. */
export interface ClosedConnection {
  readonly id: string;
  readonly at: number;
}

/**
 * What a batch tells of its gateway's connections.
 *
 * It is a heartbeat of the whole epoch: whatever was opened up to this batch, and not closed, was open at `at`.
 */
export interface ConnectionEvents {
  readonly at: number;
  readonly opened: readonly OpenedConnection[];
  readonly closed: readonly ClosedConnection[];
}

/** How many connections one batch opens, and as many closes. */
export const CONNECTIONS_MAX = 10_000;
/** A gateway tells of a connection soon; what it could not send keeps at most so long. */
export const OPENED_BEFORE_DAYS_MAX = 7;

const DAY_MS = 86_400_000;
const ID_BYTES_MAX = 64;
const PART_FIELDS: ReadonlySet<string> = new Set(['at', 'opened', 'closed']);
const OPENED_FIELDS: ReadonlySet<string> = new Set(['id', 'at', 'keyId', 'apiId', 'stage']);
const CLOSED_FIELDS: ReadonlySet<string> = new Set(['id', 'at']);
const instantSays = 'must be an instant such as 2026-11-22T07:31:00Z';

/** Reads the `connections` of a batch from untrusted JSON, and notes what is wrong with it; undefined when something is. */
export function readConnections(json: unknown, faults: FieldFault[]): ConnectionEvents | undefined {
  const before = faults.length;
  const note = (field: string, detail: string): void => {
    if (faults.length < FAULTS_MAX) faults.push({ pointer: `/connections${field}`, detail });
  };
  if (!isObject(json)) {
    note('', 'must be a JSON object');
    return undefined;
  }
  noteUnknown(json, PART_FIELDS, '', note);
  const at = readInstant(json['at'], '/at', note);
  const opened = readList(json, 'opened', note, (item, place): OpenedConnection => {
    noteUnknown(item, OPENED_FIELDS, place, note);
    const { id, keyId, apiId, stage } = item;
    const openedAt = readInstant(item['at'], `${place}/at`, note);
    if (at - openedAt > OPENED_BEFORE_DAYS_MAX * DAY_MS)
      note(
        `${place}/at`,
        `must be at most ${OPENED_BEFORE_DAYS_MAX} days before the \`at\` of \`connections\``,
      );
    if (!matchesId(keyId)) note(`${place}/keyId`, 'must be the id of an API key');
    if (!matchesId(apiId)) note(`${place}/apiId`, 'must be the id of an api');
    if (!isPlainText(stage, 128)) note(`${place}/stage`, 'must be the name of a stage');
    return {
      id: String(id),
      at: openedAt,
      keyId: String(keyId),
      apiId: String(apiId),
      stage: String(stage),
    };
  });
  const closed = readList(json, 'closed', note, (item, place): ClosedConnection => {
    noteUnknown(item, CLOSED_FIELDS, place, note);
    return { id: String(item['id']), at: readInstant(item['at'], `${place}/at`, note) };
  });
  return faults.length > before ? undefined : { at, opened, closed };
}

type Note = (field: string, detail: string) => void;

function noteUnknown(
  json: Record<string, unknown>,
  known: ReadonlySet<string>,
  place: string,
  note: Note,
): void {
  for (const name in json)
    if (!known.has(name)) note(`${place}${atPointer('', name)}`, 'is not a field here');
}

function readInstant(value: unknown, place: string, note: Note): number {
  const ms = instantMs(value);
  if (Number.isNaN(ms)) note(place, instantSays);
  return ms;
}

/** The items of a list that may be left out, each with an id of its own. */
function readList<T>(
  json: Record<string, unknown>,
  name: 'opened' | 'closed',
  note: Note,
  read: (item: Record<string, unknown>, place: string) => T,
): T[] {
  const list = json[name] ?? [];
  if (!Array.isArray(list) || list.length > CONNECTIONS_MAX) {
    note(`/${name}`, `must be a list of at most ${CONNECTIONS_MAX} connections`);
    return [];
  }
  const ids = new Set<unknown>();
  return list.flatMap((item: unknown, index): T[] => {
    const place = `/${name}/${index}`;
    if (!isObject(item)) {
      note(place, 'must be a JSON object');
      return [];
    }
    const { id } = item;
    if (!isPlainText(id, ID_BYTES_MAX))
      note(
        `${place}/id`,
        `must be a string of 1 to ${ID_BYTES_MAX} bytes without control characters`,
      );
    if (ids.has(id)) note(`${place}/id`, `is ${name} twice in this batch`);
    ids.add(id);
    return [read(item, place)];
  });
}

/** What a batch tells of connections as text, the same for the same facts; the order in the lists counts. */
export function connectionContent({ at, opened, closed }: ConnectionEvents): string {
  let content = `connections\t${at}\n`;
  for (const one of opened)
    content += `opened\t${one.id}\t${one.at}\t${one.keyId}\t${one.apiId}\t${one.stage}\n`;
  for (const one of closed) content += `closed\t${one.id}\t${one.at}\n`;
  return content;
}

/** What keeps the times of connections from being counted, as `timeFaults` of records. */
export function connectionTimeFaults(
  { at, opened, closed }: ConnectionEvents,
  { earliestMs, latestMs, tooEarly, tooLate }: AcceptedTimes,
): FieldFault[] {
  const faults: FieldFault[] = [];
  const look = (ms: number, place: string): void => {
    if (faults.length >= FAULTS_MAX || (ms <= latestMs && ms >= earliestMs)) return;
    const pointer = `/connections${place}/at`;
    faults.push({ pointer, detail: ms > latestMs ? tooLate : tooEarly });
  };
  look(at, '');
  for (const [index, one] of opened.entries()) look(one.at, `/opened/${index}`);
  for (const [index, one] of closed.entries()) look(one.at, `/closed/${index}`);
  return faults;
}
