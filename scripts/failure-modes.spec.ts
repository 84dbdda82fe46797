import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { ROOT } from './root.mjs';

const read = (path: string) => readFileSync(join(ROOT, path), 'utf8');
const specs = ['test', 'libs']
  .flatMap((folder) =>
    readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' }).map((path) =>
      join(folder, path),
    ),
  )
  .filter((path) => path.endsWith('.spec.ts'))
  .map((path) => read(path))
  .join('\n');

/** The rows of tables whose last column is `test`: what goes wrong, and the names of the tests that hold it. */
function failureModes(document: string): { mode: string; tests: string[] }[] {
  const lines = read(document).split('\n');
  const head = lines.findIndex((line) => /^\|.*\|\s*test\s*\|$/.test(line));
  const end = lines.findIndex((line, index) => index > head && !line.startsWith('|'));
  return lines.slice(head + 2, end < 0 ? undefined : end).map((line) => {
    const [, mode = '', ...cells] = line.split('|').map((cell) => cell.trim());
    const tests = [...(cells.at(-2) ?? '').matchAll(/`([^`]+)`/g)].map(([, name]) => name ?? '');
    return { mode, tests };
  });
}

describe('what goes wrong with Stripe', () => {
  const modes = failureModes('docs/stripe.md');

  it('is more than a few lines', () => expect(modes.length).toBeGreaterThan(30));

  it.each(modes)('has a test of the name that is told: $mode', ({ tests }) => {
    expect(tests).not.toEqual([]);
    const missing = tests.filter((name) => {
      const quoted = [`'${name}'`, `"${name}"`, `\`${name}\``];
      return !quoted.some((text) => specs.includes(text));
    });
    expect(missing).toEqual([]);
  });
});
