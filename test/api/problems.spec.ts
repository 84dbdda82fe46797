import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';

const root = fileURLToPath(new URL('../..', import.meta.url));

const read = (path: string) => readFileSync(join(root, path), 'utf8');

/** The codes of all refusals: those of classes, and those of HTTP itself in problem.ts. */
function codesInSources(): string[] {
  const files = ['libs', 'apps'].flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
      .filter((file) => file.endsWith('.ts') && !file.endsWith('.spec.ts'))
      .filter((file) => !/(node_modules|generated|dist)\//.test(file))
      .map((file) => join(folder, file)),
  );
  const codes = files.flatMap((file) =>
    [...read(file).matchAll(/readonly code = '([^']+)'/g)].map(([, code = '']) => code),
  );
  const filter = read('libs/platform/src/io/problem/problem.ts');
  const ofHttp = [...filter.matchAll(/^ {2}\d{3}: '([^']+)'/gm)].map(([, code = '']) => code);
  return [...new Set([...codes, ...ofHttp, 'internal-error'])].sort();
}

it('docs/problems.md lists every code that a problem can have, in order, and no other', () => {
  const listed = [...read('docs/problems.md').matchAll(/^\| `([^`]+)`/gm)].map(([, code]) => code);
  expect(listed).toEqual(codesInSources());
});
