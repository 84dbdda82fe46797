/** What a JSON text can say. */
export type Json = null | boolean | number | string | readonly Json[] | JsonObject;

/** A JSON object; read its members with `member`, never through the prototype. */
export interface JsonObject {
  readonly [key: string]: Json;
}

/** Whether the value is a JSON object and not an array. */
export function isJsonObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The own member of an object, or `undefined`: keys come from users, so `toString` must not be found. */
export function member(value: Json | undefined, key: string): Json | undefined {
  if (Array.isArray(value)) {
    const items: readonly Json[] = value;
    return /^(0|[1-9]\d*)$/.test(key) ? items[Number(key)] : undefined;
  }
  return isJsonObject(value) && Object.hasOwn(value, key) ? value[key] : undefined;
}

/** Extends a pointer by one key (RFC 6901 section 3). */
export function childPointer(pointer: string, key: string | number): string {
  return `${pointer}/${String(key).replaceAll('~', '~0').replaceAll('/', '~1')}`;
}

/** What a local reference (`#/…`, a pointer in a URI fragment, RFC 6901 section 6) points at, if anything. */
export function resolveLocalRef(document: JsonObject, ref: string): Json | undefined {
  if (!ref.startsWith('#/')) return undefined;
  let path: string;
  try {
    path = decodeURIComponent(ref.slice(2));
  } catch (error) {
    if (error instanceof URIError) return undefined;
    throw error;
  }
  let place: Json | undefined = document;
  for (const key of path.split('/')) {
    place = member(place, key.replaceAll('~1', '/').replaceAll('~0', '~'));
    if (place === undefined) return undefined;
  }
  return place;
}
