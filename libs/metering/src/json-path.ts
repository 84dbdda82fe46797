/**
 * A singular query of RFC 9535 (§2.3.5.1): `$`, then members and list items one below the other, such as
 * `$.data.tokens` or `$['data']['in'][0]`. It finds one value at most, so nothing has to be chosen or joined.
 */
export interface JsonPath {
  readonly text: string;
  /** Names of members, and numbers of list items; a negative one counts from the end. */
  readonly segments: readonly (string | number)[];
}

const LENGTH_MAX = 256;
const SEGMENTS_MAX = 16;

const SEGMENT = new RegExp(
  [
    String.raw`[ \t\n\r]*(?:`,
    String.raw`\.(?<shorthand>[A-Za-z_\u0080-\u{D7FF}\u{E000}-\u{10FFFF}][A-Za-z0-9_\u0080-\u{D7FF}\u{E000}-\u{10FFFF}]*)`,
    String.raw`|\["(?<double>(?:[^"\\\u0000-\u001F]|\\(?:[bfnrt/\\"]|u[0-9A-Fa-f]{4}))*)"\]`,
    String.raw`|\['(?<single>(?:[^'\\\u0000-\u001F]|\\(?:[bfnrt/\\']|u[0-9A-Fa-f]{4}))*)'\]`,
    String.raw`|\[(?<index>0|-?[1-9][0-9]{0,8})\]`,
    ')',
  ].join(''),
  'uy',
);

/** Reads a singular query; null when the text is none, or is longer than 256 characters or 16 segments. */
export function parseJsonPath(text: string): JsonPath | null {
  if (text.length > LENGTH_MAX || !text.startsWith('$') || !text.isWellFormed()) return null;
  const segments: (string | number)[] = [];
  let end = 1;
  while (end < text.length) {
    SEGMENT.lastIndex = end;
    const groups = SEGMENT.exec(text)?.groups;
    if (!groups || segments.length === SEGMENTS_MAX) return null;
    const segment = segmentOf(groups);
    if (segment === null) return null;
    segments.push(segment);
    end = SEGMENT.lastIndex;
  }
  return { text, segments };
}

function segmentOf(groups: Partial<Record<string, string>>): string | number | null {
  const { shorthand, double, single, index } = groups;
  if (shorthand !== undefined) return shorthand;
  if (index !== undefined) return Number(index);
  const quoted = double ?? (single ?? '').replaceAll(String.raw`\'`, "'").replaceAll('"', '\\"');
  const name = JSON.parse(`"${quoted}"`) as string;
  return name.isWellFormed() ? name : null;
}

/** The value at the path; undefined where there is none. */
export function valueAt(json: unknown, { segments }: JsonPath): unknown {
  let value = json;
  for (const segment of segments) {
    if (typeof value !== 'object' || value === null) return undefined;
    if (typeof segment === 'string') {
      if (Array.isArray(value) || !Object.hasOwn(value, segment)) return undefined;
      value = (value as Record<string, unknown>)[segment];
    } else {
      if (!Array.isArray(value)) return undefined;
      value = (value as unknown[]).at(segment);
    }
  }
  return value;
}
