// @ts-check
/**
 * Compiles every app into `dist`; `node scripts/build.mjs --force` also when nothing changed.
 *
 * Each file is translated by itself with the compiler and the options of the tests, which takes one second where
 * `nest build` takes twelve: it checks all types twice, once for each app, and `npm run check` has done that already.
 */
import {
  cpSync,
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { availableParallelism } from 'node:os';
import { dirname, join, relative, sep } from 'node:path';
import { pathToFileURL } from 'node:url';
import { errorMessage, hashFiles } from './files.mjs';
import { generateClient } from './generate.mjs';
import { ROOT } from './root.mjs';

const DIST = join(ROOT, 'dist');
const STAMP = '.stamp';
/** Every folder of `apps` that has a program. */
const APPS = readdirSync(join(ROOT, 'apps')).filter((app) =>
  existsSync(join(ROOT, 'apps', app, 'src', 'main.ts')),
);
/** Those that are started again and again: what they run lies in one file, since Node takes a third of a second to find a thousand. */
const SERVICES = ['api', 'worker'];
const INPUTS = ['apps', 'libs', 'prisma/schema', 'package-lock.json', 'scripts/build.mjs'];
const ALIAS = /(\bfrom\s*|\bimport\s*\(?\s*)(["'])@(core|io)\/([^"'/]+)\2/g;

/** Of a file, what is no constant of it: variables, and classes that decorators replace. */
const ASSIGNED = /^(?:export )?(?:let|var) ([^=;]+)|^([\w$]+) =/gm;
const NAMES = /[\w$]+/g;

/** The program of an app once it is built. @param {string} app */
export const entryOf = (app) => join(DIST, app, 'apps', app, 'src', 'main.js');

/** Whether `dist` was built from the sources as they are now. */
export function isBuilt() {
  const stamp = join(DIST, STAMP);
  return existsSync(stamp) && readFileSync(stamp, 'utf8') === sourcesHash();
}

/**
 * Builds all apps; throws with the compiler's own words. Made aside and renamed, so that whoever starts an app while
 * another builds finds the old build or the new one, and never a part of one.
 */
export async function build() {
  generateClient();
  const stamp = sourcesHash();
  const { transform } = await import('@swc/core');
  const draft = `${DIST}.new-${process.pid}`;
  rmSync(draft, { recursive: true, force: true });

  const files = ['apps', 'libs'].flatMap((folder) => sourceFiles(join(ROOT, folder)));
  const waiting = [...files];
  const compileRest = async () => {
    for (let file = waiting.pop(); file !== undefined; file = waiting.pop()) {
      await compile(file, draft, transform);
    }
  };
  await Promise.all(Array.from({ length: availableParallelism() * 2 }, compileRest));
  await Promise.all(SERVICES.map((app) => bundle(app, draft)));
  writeFileSync(join(draft, STAMP), stamp);
  publish(draft);
}

/** Puts a build in place, unless somebody else has just put the same there. @param {string} draft */
function publish(draft) {
  const old = `${draft}-old`;
  try {
    if (existsSync(DIST)) renameSync(DIST, old);
    renameSync(draft, DIST);
  } catch (error) {
    if (!isBuilt()) throw error;
  } finally {
    rmSync(draft, { recursive: true, force: true });
    rmSync(old, { recursive: true, force: true });
  }
}

function sourcesHash() {
  return hashFiles(
    INPUTS.map((path) => join(ROOT, path)),
    (path) => isSource(path) && !path.endsWith(`${sep}generated`),
  );
}

/** @param {string} path */
function isSource(path) {
  return (
    !/\.(spec\.ts|md|tsbuildinfo)$/.test(path) &&
    !/(^|[/\\])(node_modules|dist|tsconfig\.app\.json)$/.test(path)
  );
}

/**
 * @param {string} folder
 * @returns {string[]}
 */
function sourceFiles(folder) {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    if (!isSource(path)) return [];
    return entry.isDirectory() ? sourceFiles(path) : [path];
  });
}

/**
 * Each app has its libs beside it, as with `nest start`, so that a path from a file to its neighbours is the same in both.
 *
 * @param {string} file
 * @param {string} dist
 * @param {typeof import('@swc/core').transform} transform
 */
async function compile(file, dist, transform) {
  const path = relative(ROOT, file);
  const apps = APPS.filter((app) => !path.startsWith('apps') || path.startsWith(join('apps', app)));
  if (!file.endsWith('.ts')) {
    for (const app of apps) cpSync(file, join(dist, app, path));
    return;
  }
  const { code, map } = await transform(readFileSync(file, 'utf8'), {
    filename: file,
    sourceFileName: file,
    sourceMaps: true,
    swcrc: false,
    isModule: true,
    jsc: {
      target: 'es2023',
      parser: { syntax: 'typescript', decorators: true },
      transform: { legacyDecorator: true, decoratorMetadata: true },
    },
    module: { type: 'es6' },
  });
  const script = path.replace(/\.ts$/, '.js');
  const linked = code.replace(ALIAS, (_, keyword, quote, side, lib) => {
    const door = join('libs', lib, 'src', ...(side === 'io' ? ['io'] : []), 'index.js');
    const target = relative(dirname(path), door).split(sep).join('/');
    return `${keyword}${quote}${target.startsWith('.') ? target : `./${target}`}${quote}`;
  });
  for (const app of apps) {
    const out = join(dist, app, script);
    mkdirSync(dirname(out), { recursive: true });
    writeFileSync(out, `${linked}\n//# sourceMappingURL=${script.split(sep).at(-1)}.map\n`);
    writeFileSync(`${out}.map`, map ?? '{}');
  }
}

/**
 * Puts the program of an app and all of ours that it imports into its one file; what is imported when it is needed, and what
 * threads run, stays where it is.
 *
 * @param {string} app
 * @param {string} dist
 */
async function bundle(app, dist) {
  const { build: esbuild } = await import('esbuild');
  const entry = join(dist, app, 'apps', app, 'src', 'main.js');
  const folder = dirname(entry);
  /** @type {Set<string>} */
  const changing = new Set();
  /** @param {string} path */
  const fromEntry = (path) => {
    const target = relative(folder, path).split(sep).join('/');
    return target.startsWith('.') ? target : `./${target}`;
  };
  await esbuild({
    entryPoints: [entry],
    outfile: entry,
    allowOverwrite: true,
    bundle: true,
    format: 'esm',
    platform: 'node',
    target: 'node20.19',
    packages: 'external',
    sourcemap: 'linked',
    sourcesContent: false,
    plugins: [
      {
        name: 'places',
        setup(bundler) {
          bundler.onResolve({ filter: /^\./ }, ({ path, kind, resolveDir }) =>
            kind === 'dynamic-import'
              ? { path: fromEntry(join(resolveDir, path)), external: true }
              : null,
          );
          // A file that asks where it is, is where it was.
          bundler.onLoad({ filter: /\.js$/ }, ({ path }) => {
            const text = readFileSync(path, 'utf8');
            for (const [, declared, assigned] of text.matchAll(ASSIGNED))
              for (const name of (declared ?? assigned ?? '').match(NAMES) ?? [])
                changing.add(name);
            const place = `new URL(${JSON.stringify(fromEntry(path))}, import.meta.url).href`;
            return { contents: text.replaceAll('import.meta.url', place), loader: 'js' };
          });
        },
      },
    ],
  });
  keepConstants(entry, changing);
}

/**
 * Says `const` again of what never changes, of which the bundler has made `var`: V8 reads a variable each time. Each stands
 * above what reads it as the program starts, as it did in a file of its own.
 *
 * @param {string} file
 * @param {ReadonlySet<string>} changing  what is assigned again in the files that it was made of
 */
function keepConstants(file, changing) {
  const text = readFileSync(file, 'utf8');
  // The bundler may have put a number behind a name that came twice.
  const isChanging = (/** @type {string} */ name) =>
    changing.has(name) || changing.has(name.replace(/\d+$/, ''));
  const kept = text.replaceAll(
    /^var (?=([\w$]+|\[[\w$, ]+\]) = )/gm,
    (/** @type {string} */ before, /** @type {string} */ names) =>
      (names.match(NAMES) ?? []).some(isChanging) ? before : 'const ',
  );
  writeFileSync(file, kept);
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  try {
    if (process.argv.includes('--force') || !isBuilt()) await build();
  } catch (error) {
    console.error(errorMessage(error));
    process.exitCode = 1;
  }
}
