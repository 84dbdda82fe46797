import { expect, it } from 'vitest';
import { drawn, graph } from './graph.mjs';

it('ARCHITECTURE.md draws the imports as they are; if not, run: npm run graph -- --write', async () => {
  expect(drawn()).toBe(await graph());
}, 30_000);
