// @ts-check
/**
 * Makes `dist` of the package: one script per entry with what it uses of `kernel` and `limits` inside, and types that
 * need no other file. Fails where a dependency or a type from outside the package would slip in.
 */
import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { isBuiltin } from 'node:module';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const PACKAGE = dirname(fileURLToPath(import.meta.url));
const ROOT = join(PACKAGE, '..', '..');
const LIBS = join(ROOT, 'libs');
const DIST = join(PACKAGE, 'dist');
const TYPES = join(PACKAGE, '.types');
const ENTRIES = ['index', 'nest'];

rmSync(DIST, { recursive: true, force: true });
await bundle();
keepConstants();
declare();

async function bundle() {
  const { metafile } = await build({
    entryPoints: ENTRIES.map((entry) => join(PACKAGE, 'src', `${entry}.ts`)),
    outdir: DIST,
    bundle: true,
    splitting: true,
    format: 'esm',
    platform: 'node',
    target: 'node20.19',
    metafile: true,
    tsconfig: join(ROOT, 'tsconfig.json'),
    plugins: [
      {
        // What is not used of a lib's door is left out, with all that it imports.
        name: 'pure-libs',
        setup(bundler) {
          bundler.onResolve({ filter: /^@core\// }, ({ path }) => ({
            path: join(ROOT, 'libs', path.slice('@core/'.length), 'src', 'index.ts'),
            sideEffects: false,
          }));
          bundler.onResolve({ filter: /^\./ }, ({ path, resolveDir }) =>
            resolveDir.startsWith(LIBS)
              ? { path: join(resolveDir, path.replace(/\.js$/, '.ts')), sideEffects: false }
              : null,
          );
          // Found to be unused in the end, or the build fails below.
          bundler.onResolve({ filter: /^[a-z]/ }, ({ path, kind }) =>
            kind === 'entry-point' || path.startsWith('node:')
              ? null
              : { path, external: true, sideEffects: false },
          );
        },
      },
    ],
  });
  const foreign = Object.values(metafile.outputs)
    .flatMap(({ imports }) => imports)
    .filter(({ path, external }) => external === true && !isBuiltin(path));
  if (foreign.length > 0) {
    throw new Error(`The package would need ${foreign.map(({ path }) => path).join(', ')}.`);
  }
}

/**
 * Says `const` again of constants, of which the bundler has made `var`: V8 reads a variable each time, and a decision
 * reads some hundred of them. They are those in capitals; each stands above what reads it, or the package does not load.
 */
function keepConstants() {
  for (const name of readdirSync(DIST).filter((file) => file.endsWith('.js'))) {
    const file = join(DIST, name);
    const text = readFileSync(file, 'utf8');
    const kept = text.replace(/^var (?=[A-Z][A-Z0-9_]* = )/gm, 'const ');
    writeFileSync(file, kept);
  }
}

/** Writes the types of the entries, and of no more files than they need. */
function declare() {
  rmSync(TYPES, { recursive: true, force: true });
  const tsc = join(ROOT, 'node_modules', 'typescript', 'bin', 'tsc');
  execFileSync(process.execPath, [tsc, '-p', join(PACKAGE, 'tsconfig.build.json')], {
    stdio: 'inherit',
  });
  const source = join(TYPES, relative(ROOT, PACKAGE), 'src');
  const waiting = ENTRIES.map((entry) => join(source, `${entry}.d.ts`));
  const seen = new Set(waiting);
  for (let file = waiting.pop(); file !== undefined; file = waiting.pop()) {
    const target = join(DIST, relative(source, file));
    mkdirSync(dirname(target), { recursive: true });
    copyFileSync(file, target);
    for (const [, specifier = ''] of readFileSync(file, 'utf8').matchAll(
      /(?:from|import\()\s*'([^']+)'/g,
    )) {
      if (specifier.startsWith('node:')) continue;
      if (!specifier.startsWith('.')) {
        throw new Error(`${relative(source, file)} needs types of "${specifier}".`);
      }
      const next = join(dirname(file), specifier.replace(/\.js$/, '.d.ts'));
      if (!seen.has(next)) waiting.push(next);
      seen.add(next);
    }
  }
  rmSync(TYPES, { recursive: true, force: true });
}
