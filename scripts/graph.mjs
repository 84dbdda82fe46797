// @ts-check
/**
 * Draws which app and lib imports which, from the imports themselves. `node scripts/graph.mjs` prints the drawing, with
 * `--write` it goes into ARCHITECTURE.md.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { cruise } from 'dependency-cruiser';
import extractTSConfig from 'dependency-cruiser/config-utl/extract-ts-config';
import { ROOT } from './root.mjs';

const PAGE = join(ROOT, 'ARCHITECTURE.md');
const DRAWING = /(<!-- graph: npm run graph -- --write -->\n\n)[^]*?(\n\n<!-- \/graph -->)/;

/** The graph as a Mermaid block: one arrow for each pair, tests aside. */
export async function graph() {
  const tsConfig = join(ROOT, 'tsconfig.json');
  const { output } = await cruise(
    ['apps', 'libs'],
    {
      baseDir: ROOT,
      includeOnly: '^(apps|libs)/',
      exclude: String.raw`\.spec\.ts$|/generated/|/dist/`,
      tsConfig: { fileName: tsConfig },
      tsPreCompilationDeps: true,
      validate: false,
    },
    {},
    { tsConfig: extractTSConfig(tsConfig) },
  );
  if (typeof output === 'string') throw new Error(output);
  const arrows = new Set(
    output.modules.flatMap(({ source, dependencies }) =>
      dependencies
        .filter(({ resolved }) => nameOf(resolved) !== nameOf(source))
        .map(({ resolved }) => `  ${nameOf(source)} --> ${nameOf(resolved)}`),
    ),
  );
  const apps = output.modules.map(({ source }) => source).filter((path) => path.startsWith('apps'));
  const boxes = [...new Set(apps.map(nameOf))].toSorted().map((name) => `    ${name}`);
  return [
    '```mermaid',
    'flowchart TD',
    '  subgraph apps',
    ...boxes,
    '  end',
    ...[...arrows].toSorted(),
    '```',
  ].join('\n');
}

/** The drawing that ARCHITECTURE.md has. */
export function drawn() {
  return DRAWING.exec(readFileSync(PAGE, 'utf8'))?.[0].split('\n\n')[1];
}

/**
 * The app or lib that a file belongs to.
 *
 * @param {string} path
 */
function nameOf(path) {
  return path.split('/')[1] ?? path;
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const drawing = await graph();
  if (process.argv.includes('--write')) {
    const page = readFileSync(PAGE, 'utf8');
    writeFileSync(
      PAGE,
      page.replace(DRAWING, (_, before, after) => before + drawing + after),
    );
  } else {
    console.log(drawing);
  }
}
