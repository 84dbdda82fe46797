/** What happens to a path that an upstream may read as another one. */
export type AmbiguousPathPolicy = 'refuse' | 'strictest' | 'normalise';

/** How an api wants its paths read. */
export interface PathPolicy {
  readonly ambiguousPath: AmbiguousPathPolicy;
  /** Keeps `%2F`, `%5C` and double encoding as they are, instead of refusing them. Default false. */
  readonly allowsEncodedSeparators?: boolean;
}

/** Why a path has no meaning that everybody agrees on. */
export type PathFault =
  | 'not-absolute'
  | 'too-long'
  | 'control-character'
  | 'backslash'
  | 'non-ascii'
  | 'malformed-encoding'
  | 'encoded-nul'
  | 'encoded-separator'
  | 'double-encoding'
  | 'ambiguous'
  | 'above-root';

/**
 * The one path to match. When it `isAmbiguous`, the policy was `strictest` (charge the stage's strictest
 * method) or `normalise` (the upstream is known to resolve paths alike).
 */
export type CanonicalPath =
  | { readonly kind: 'path'; readonly path: string; readonly isAmbiguous: boolean }
  | { readonly kind: 'refused'; readonly why: PathFault };

const MAX_LENGTH = 4096;
const SLASH = 0x2f;
const PERCENT = 0x25;
const DOT = 0x2e;
const SEMICOLON = 0x3b;

/**
 * The path of a request target, without its query, in the one form that is matched. Gateways hand on
 * the raw path, and upstreams resolve `..`, `%2e` and `//` each in their own way.
 *
 * Unreserved characters are decoded (RFC 3986 §6.2.2.2), other encodings upper-cased, nothing else is
 * folded. A clean path costs one scan and no copy.
 */
export function canonicalPath(raw: string, policy: PathPolicy): CanonicalPath {
  if (raw.charCodeAt(0) !== SLASH) return refused('not-absolute');
  let isClean = true;
  let hasEncoding = false;
  let previous = 0;
  let end = 0;
  for (; end < raw.length; end++) {
    const code = raw.charCodeAt(end);
    if (code === 0x3f || code === 0x23) break;
    if (end === MAX_LENGTH) return refused('too-long');
    if (code < 0x20 || code === 0x7f) return refused('control-character');
    if (code === 0x5c) return refused('backslash');
    if (code > 0x7f) return refused('non-ascii');
    if (code === PERCENT) hasEncoding = true;
    else if (previous === SLASH && (code === SLASH || code === DOT || code === SEMICOLON)) {
      isClean = false;
    }
    previous = code;
  }
  const target = end === raw.length ? raw : raw.slice(0, end);
  if (isClean && !hasEncoding) return { kind: 'path', path: target, isAmbiguous: false };

  const decoded = hasEncoding ? decode(target, policy) : { path: target, isChanged: false };
  if (typeof decoded === 'string') return refused(decoded);
  const { path, isChanged } = decoded;
  const hasOddSegments = path.split('/').some(isOddInside);
  if (!isChanged && !hasOddSegments) return { kind: 'path', path, isAmbiguous: false };
  if (policy.ambiguousPath === 'refuse') return refused('ambiguous');
  const normal = hasOddSegments ? withoutOddSegments(path) : path;
  return normal === null
    ? refused('above-root')
    : { kind: 'path', path: normal, isAmbiguous: true };
}

function refused(why: PathFault): CanonicalPath {
  return { kind: 'refused', why };
}

function decode(
  target: string,
  { allowsEncodedSeparators = false }: PathPolicy,
): { path: string; isChanged: boolean } | PathFault {
  let path = '';
  let from = 0;
  let isChanged = false;
  for (let at = target.indexOf('%'); at !== -1; at = target.indexOf('%', from)) {
    const code = encodedAt(target, at);
    if (code === -1) return 'malformed-encoding';
    if (code === 0) return 'encoded-nul';
    if (!allowsEncodedSeparators) {
      if (code === SLASH || code === 0x5c) return 'encoded-separator';
      if (code === PERCENT && isHexPair(target, at + 3)) return 'double-encoding';
    }
    path += target.slice(from, at);
    if (isUnreserved(code)) {
      path += String.fromCharCode(code);
      isChanged = true;
    } else {
      path += target.slice(at, at + 3).toUpperCase();
    }
    from = at + 3;
  }
  path += target.slice(from);
  // Decoding can itself make an encoding of what stood apart: `%25%41a` is `%25Aa`.
  if (isChanged && !allowsEncodedSeparators && hasDoubleEncoding(path)) return 'double-encoding';
  return { path, isChanged };
}

function hasDoubleEncoding(path: string): boolean {
  for (let at = path.indexOf('%25'); at !== -1; at = path.indexOf('%25', at + 3)) {
    if (isHexPair(path, at + 3)) return true;
  }
  return false;
}

/** The byte that the three characters `%XX` stand for, -1 when they are not an encoding. */
function encodedAt(target: string, at: number): number {
  return isHexPair(target, at + 1)
    ? hex(target.charCodeAt(at + 1)) * 16 + hex(target.charCodeAt(at + 2))
    : -1;
}

function isHexPair(target: string, at: number): boolean {
  return hex(target.charCodeAt(at)) >= 0 && hex(target.charCodeAt(at + 1)) >= 0;
}

/** The value of a hexadecimal digit, -1 of anything else, also past the end (NaN). */
function hex(code: number): number {
  if (code >= 0x30 && code <= 0x39) return code - 0x30;
  const lower = code | 0x20;
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x57 : -1;
}

/** ALPHA / DIGIT / "-" / "." / "_" / "~" (RFC 3986 §2.3). */
function isUnreserved(code: number): boolean {
  const lower = code | 0x20;
  return (
    (lower >= 0x61 && lower <= 0x7a) ||
    (code >= 0x30 && code <= 0x39) ||
    code === 0x2d ||
    code === DOT ||
    code === 0x5f ||
    code === 0x7e
  );
}

/** A segment as servers see it that cut `;params` off, as Java's do: `..;x` is `..` to them. */
function withoutParams(segment: string): string {
  const at = segment.indexOf(';');
  return at === -1 ? segment : segment.slice(0, at);
}

/** Dot segments and, but for the ends (before the first slash, after a trailing one), empty segments. */
function isOddInside(segment: string, at: number, segments: readonly string[]): boolean {
  const name = withoutParams(segment);
  if (name === '' && segment === '') return at !== 0 && at !== segments.length - 1;
  return name === '' || name === '.' || name === '..';
}

/** RFC 3986 §5.2.4, with empty segments merged; null when the path climbs above the root. */
function withoutOddSegments(path: string): string | null {
  const kept: string[] = [];
  const segments = path.slice(1).split('/');
  for (const segment of segments) {
    const name = withoutParams(segment);
    if (name === '..') {
      if (kept.pop() === undefined) return null;
    } else if (name !== '' && name !== '.') {
      kept.push(segment);
    }
  }
  const last = withoutParams(segments[segments.length - 1] ?? '');
  const endsInSlash = kept.length > 0 && (last === '' || last === '.' || last === '..');
  return `/${kept.join('/')}${endsInSlash ? '/' : ''}`;
}
