import { readFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { parseApiDocument } from './parse-api-document.js';

const PETSTORE = new URL('../../../../../examples/petstore.openapi.yaml', import.meta.url);

const PLENTY = { deadlineMs: 60_000, heapMiB: 256 };
const JSON_OF_A_MILLION = `{"a":[${'0,'.repeat(1_000_000)}0]}`;
const YAML_OF_TWO_MILLION = `a: [${'0,'.repeat(2_000_000)}0]`;
const FLAT_MAP = Array.from({ length: 80_000 }, (_, n) => `k${n}: v`).join('\n');

describe('parseApiDocument', { timeout: 90_000 }, () => {
  it('reads the pet store in YAML, and its JSON the same', async () => {
    const api = await parseApiDocument(await readFile(PETSTORE));
    expect(api).toMatchObject({
      format: 'openapi-3.0',
      title: 'Petstore',
      version: '1.0.0',
      basePath: '/v1',
    });
    expect(api.methods).toHaveLength(14);
    expect(api.methods).toContainEqual({
      method: 'GET',
      resourcePath: '/pets/{petId}',
      operationId: 'showPet',
      summary: 'Show one pet',
      apiKeyRequired: true,
    });
    expect(api.methods.filter((method) => !method.apiKeyRequired)).toMatchObject([
      { resourcePath: '/status' },
    ]);
    expect(await parseApiDocument(JSON.stringify(api.document))).toEqual(api);
  });

  it('hands a refusal over with its code, places and lines', async () => {
    await expect(parseApiDocument('openapi: 9.9.9\npaths: {}')).rejects.toMatchObject({
      code: 'invalid-api-document',
      kind: 'invalid',
      message:
        'The API document cannot be imported: ' +
        '/openapi (line 1) must be the text "3.0.x" or "3.1.x".',
      facts: { faultCount: 1, errors: [{ pointer: '/openapi', line: 1 }] },
    });
  });

  it.each<{ why: string; source: string | Uint8Array; limits?: object; detail: string }>([
    { why: 'more than 5 MiB', source: ' '.repeat(5 * 2 ** 20 + 1), detail: 'is larger than 5 MiB' },
    {
      why: 'bytes that are not UTF-8',
      source: Uint8Array.from([0x7b, 0xff, 0x7d]),
      detail: 'is not UTF-8 text',
    },
    {
      why: 'a text that takes too long',
      source: YAML_OF_TWO_MILLION,
      limits: { deadlineMs: 1 },
      detail: 'takes longer than 1 ms to read',
    },
    {
      why: 'a text that needs too much memory, which harms nobody else',
      source: YAML_OF_TWO_MILLION,
      limits: { heapMiB: 64 },
      detail: 'needs more than 64 MiB of memory to read',
    },
    { why: 'a flat map of 0.8 MB', source: FLAT_MAP, detail: 'has more than 20000 nodes' },
    { why: 'a million values', source: JSON_OF_A_MILLION, detail: 'has more than 20000 nodes' },
  ])('refuses $why', async ({ source, limits, detail }) => {
    await expect(parseApiDocument(source, { ...PLENTY, ...limits })).rejects.toMatchObject({
      facts: { errors: [{ pointer: '', detail }] },
    });
  });

  it('answers everybody when many come at once, and keeps the memory of the process bounded', async () => {
    const before = process.memoryUsage().rss;
    const texts = [FLAT_MAP, JSON_OF_A_MILLION, YAML_OF_TWO_MILLION, FLAT_MAP, 'a: &a [*a]'];
    const answers = await Promise.allSettled(texts.map((text) => parseApiDocument(text, PLENTY)));
    expect(answers.map(({ status }) => status)).toEqual(texts.map(() => 'rejected'));
    expect(process.memoryUsage().rss - before).toBeLessThan(2 * 256 * 2 ** 20);
  });
});
