import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

const ROOT = new URL('../../../', import.meta.url);
const read = (path: string) => readFileSync(fileURLToPath(new URL(path, ROOT)), 'utf8');

/** Rows of the table of failure modes: what goes wrong, and the test that is about it. */
const ROWS = [
  ...read('docs/marketplace.md').matchAll(/^\| ([^|]+?) +\| `([^`|]+\.spec\.ts)`: ([^|]+?) +\|$/gm),
].map(([, mode = '', file = '', title = '']) => ({ mode, file, title }));

describe('every failure mode that docs/marketplace.md lists', () => {
  it('is there', () => {
    expect(ROWS.length).toBeGreaterThanOrEqual(30);
    expect(new Set(ROWS.map(({ mode }) => mode)).size).toBe(ROWS.length);
  });

  it.each(ROWS)('$mode: has a test of that name', ({ file, title }) => {
    expect(existsSync(fileURLToPath(new URL(file, ROOT)))).toBe(true);
    const source = read(file);
    const titles = [
      ...source.matchAll(
        /\b(?:it|describe)(?:\.each\((?:[^()]|\((?:[^()]|\([^()]*\))*\))*\))?\(\s*'((?:[^'\\]|\\.)*)'/g,
      ),
    ].map(([, one = '']) => one);
    expect(titles).toContain(title);
  });
});
