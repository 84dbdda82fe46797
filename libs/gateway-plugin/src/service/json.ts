/** A JSON object whose fields are not known to be what they should be. */
export type Fields = Readonly<Record<string, unknown>>;

/** The service's answer is not what the contract says: to the plugin the same as no answer. */
export class UnreadableAnswer extends Error {
  override readonly name = 'UnreadableAnswer';
}

export function isObject(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The object that a text of JSON is. */
export function parseObject(text: string): Fields {
  const value: unknown = JSON.parse(text);
  if (!isObject(value)) throw new UnreadableAnswer('the answer is no object');
  return value;
}

export function textOf(fields: Fields, name: string): string {
  const value = fields[name];
  if (typeof value !== 'string') throw new UnreadableAnswer(`"${name}" is no text`);
  return value;
}

export function optionalText(fields: Fields, name: string): string | undefined {
  const value = fields[name];
  return typeof value === 'string' && value !== '' ? value : undefined;
}

export function numberOf(fields: Fields, name: string): number {
  const value = optionalNumber(fields, name);
  if (value === undefined) throw new UnreadableAnswer(`"${name}" is no number`);
  return value;
}

export function optionalNumber(fields: Fields, name: string): number | undefined {
  const value = fields[name];
  return typeof value === 'number' && Number.isFinite(value) ? value : undefined;
}

export function booleanOf(fields: Fields, name: string): boolean {
  const value = fields[name];
  if (typeof value !== 'boolean') throw new UnreadableAnswer(`"${name}" is neither true nor false`);
  return value;
}

/** Milliseconds since 1970 of an ISO 8601 text. */
export function instantOf(fields: Fields, name: string): number {
  const at = Date.parse(textOf(fields, name));
  if (Number.isNaN(at)) throw new UnreadableAnswer(`"${name}" is no instant`);
  return at;
}

/** The list of that name; empty when it was left out. */
export function listOf(fields: Fields, name: string): readonly unknown[] {
  const value = fields[name] ?? [];
  if (!Array.isArray(value)) throw new UnreadableAnswer(`"${name}" is no list`);
  return value;
}

export function objectOf(fields: Fields, name: string): Fields {
  const value = fields[name];
  if (!isObject(value)) throw new UnreadableAnswer(`"${name}" is no object`);
  return value;
}

/** What `read` makes of the object of that name; null when it is null or left out. */
export function nullable<T>(fields: Fields, name: string, read: (value: Fields) => T): T | null {
  const value = fields[name];
  if (value === null || value === undefined) return null;
  if (!isObject(value)) throw new UnreadableAnswer(`"${name}" is no object`);
  return read(value);
}

/** One of the words; anything else is no answer. */
export function wordOf<Word extends string>(
  fields: Fields,
  name: string,
  words: readonly Word[],
): Word {
  const found = words.find((word) => word === fields[name]);
  if (found === undefined) throw new UnreadableAnswer(`"${name}" is none of ${words.join(', ')}`);
  return found;
}
