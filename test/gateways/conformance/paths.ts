/** Paths that nobody reads in two ways: each has to pass. */
export const HONEST_PATHS: readonly string[] = [
  '/',
  '/pets',
  '/pets/',
  '/pets/42',
  '/pets/42/photos',
  '/pets/42?q=1',
  '/pets?..',
  '/pets?/../admin',
  '/pets/42?x=/../y&z=%2e%2e%2f',
  '/pets?a=%zz',
  '/pets/~me',
  '/pets/a-b_c.d',
  '/pets/a+b',
  '/pets/a:b',
  '/pets/a@b',
  '/pets/a,b',
  '/pets/a=b&c',
  "/pets/!$'()*",
  '/pets/...',
  '/pets/..a',
  '/pets/a..',
  '/pets/.hidden',
  '/pets/a%20b',
  '/pets/%C3%A9',
  '/pets/%c3%a9',
  '/pets/%3F',
  '/pets/%23x',
  '/files/a/b/c/d.json',
  '/files/a/b/c/d/',
  '/.well-known/thing',
  '/nowhere/at/all',
  '/PETS/42',
  '/Cheap',
  '/expensive',
  '/admin/',
  `/files/${'a/'.repeat(400)}z`,
  `/pets/${'x'.repeat(1_000)}`,
];

/** What may stand where a segment stands, and means a way up, nothing, or something hidden to some server. */
const TRICKS = [
  '..',
  '.',
  '',
  '%2e%2e',
  '%2E%2E',
  '.%2e',
  '%2e.',
  '%2e',
  '..;',
  '..;x=1',
  '.;',
  ';',
  ';x',
  '..%2f',
  '..%2F..',
  '%2f',
  '%2e%2e%2f',
  '..%5c',
  '%5c..',
  '..\\',
  '\\..',
  '%252e%252e',
  '%252f',
  '%25%32%65',
  '%c0%ae%c0%ae',
  '%c0%af',
  '%u002e%u002e',
  '%00',
  '%00..',
  '..%00',
  '%0d%0a',
  '%0a..',
  '%',
  '%2',
  '%zz',
  '%ef%bc%8e%ef%bc%8e',
  '..%09',
  '%20..',
  '..%20',
  '%3b..',
  '..%3bx',
  '%2e;',
  '%2e%2e;x',
  '....',
  '..././',
];

/** Around the trick: with what it hides or reaches. */
const PLACES: readonly ((trick: string) => string)[] = [
  (trick) => `/cheap/${trick}/expensive`,
  (trick) => `/${trick}/admin`,
  (trick) => `/pets/42/${trick}`,
  (trick) => `/files/x/${trick}/../../admin`,
];

/** Single paths that servers are known to read in different ways. */
const SINGLE_TRICKS: readonly string[] = [
  '//cheap',
  '///admin',
  '/cheap//',
  '/cheap/.',
  '/cheap/..',
  '/..',
  '/.',
  '/%2e',
  '/%2f',
  '/%61dmin',
  '/%41dmin',
  '/p%65ts/42',
  '/%70%65%74%73',
  '/pets%2f42',
  '/pets%2F42',
  '/pets%5c42',
  '/pets\\42',
  '\\admin',
  '/cheap%3f/../admin',
  '/cheap#/../admin',
  '/cheap%23/../admin',
  '/cheap?/../admin#x',
  '/cheap/%2e%2e/%2e%2e/%2e%2e/admin',
  '/files/..%252f..%252fadmin',
  '/pets/42%00.json',
  '/pets/42\u0001',
  '/pets/caf\u00e9',
  '/pets/\u00ff',
  '/pets/a b',
  '/pets/42\t',
  'pets',
  '*',
  'http://tollgate.test/admin',
  'http://elsewhere.test/admin',
  'HTTP://tollgate.test/cheap/../admin',
  'http://tollgate.test//admin',
  '//elsewhere.test/admin',
  `/${'x'.repeat(5_000)}`,
  `/pets/${'%41'.repeat(500)}`,
  '/cheap/%2E%2E%2Fadmin',
];

/** Paths that two servers may read differently. */
export const TRICKY_PATHS: readonly string[] = [
  ...PLACES.flatMap((place) => TRICKS.map(place)),
  ...SINGLE_TRICKS,
];

const CUT = /\/((?:\.|%2e){0,2});[^/]*/gi;

/** How an application may read a request target before it looks for a route. */
const READINGS: Readonly<Record<string, (path: string) => string>> = {
  'as it came': (path) => path,
  decoded: decode,
  'dots resolved': resolveDots,
  'dots resolved after merging slashes': (path) => resolveDots(mergeSlashes(path)),
  'decoded, then dots resolved': (path) => resolveDots(decode(path)),
  'dots resolved, then decoded': (path) => decode(resolveDots(path)),
  'decoded, slashes merged, dots resolved': (path) => resolveDots(mergeSlashes(decode(path))),
  'decoded twice, slashes merged, dots resolved': (path) =>
    resolveDots(mergeSlashes(decode(decode(path)))),
  'backslashes are slashes': (path) =>
    resolveDots(mergeSlashes(decode(path).replaceAll('\\', '/'))),
  // As Tomcat does it: before decoding.
  'parameters cut from dot segments': (path) =>
    resolveDots(mergeSlashes(decode(path.replaceAll(CUT, '/$1')))),
  'cut at NUL': (path) => resolveDots(decode(path).split('\0')[0] ?? ''),
};

/** The templates that applications of different making would serve a request target by, without repetitions. */
export function templatesOf(
  target: string,
  templates: readonly string[],
): { reading: string; template: string }[] {
  const path = target.replace(/^[a-z]+:\/\/[^/?#]*/i, '').replace(/[?#].*$/s, '');
  return Object.entries(READINGS).map(([reading, read]) => ({
    reading,
    template: templateOf(read(path), templates),
  }));
}

const UNMATCHED = '/{proxy+}';

/** A literal segment beats a parameter, which beats the rest of the path; a trailing slash does not count. */
function templateOf(path: string, templates: readonly string[]): string {
  const segments = path
    .replace(/(?<=.)\/$/, '')
    .split('/')
    .slice(1);
  const fits = templates
    .map((template) => ({ template, parts: template.split('/').slice(1) }))
    .filter(({ parts }) => {
      const isGreedy = parts.at(-1)?.endsWith('+}') === true;
      if (isGreedy ? segments.length < parts.length : segments.length !== parts.length)
        return false;
      return parts.every((part, at) =>
        part.startsWith('{') ? segments[at] !== '' : part === segments[at],
      );
    });
  const literals = (parts: readonly string[]) =>
    parts.map((part) => (part.startsWith('{') ? 1 : 0)).join('');
  fits.sort((a, b) => literals(a.parts).localeCompare(literals(b.parts)));
  return fits[0]?.template ?? UNMATCHED;
}

/** Each `%XX` as its byte; what is no encoding stays. */
function decode(path: string): string {
  return path.replaceAll(/%([0-9a-f]{2})/gi, (_, hex: string) =>
    String.fromCharCode(Number.parseInt(hex, 16)),
  );
}

function mergeSlashes(path: string): string {
  return path.replaceAll(/\/{2,}/g, '/');
}

/** RFC 3986 §5.2.4. */
function resolveDots(path: string): string {
  const kept: string[] = [];
  const segments = path.split('/').slice(1);
  for (const [at, segment] of segments.entries()) {
    const isLast = at === segments.length - 1;
    if (segment === '..') kept.pop();
    if (segment !== '.' && segment !== '..') kept.push(segment);
    else if (isLast) kept.push('');
  }
  return `/${kept.join('/')}`;
}
