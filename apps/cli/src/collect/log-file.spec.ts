import { appendFileSync, truncateSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { LogFile } from './log-file.js';

let folder: string;
let path: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tollgate-log-'));
  path = join(folder, 'access.log');
});

afterEach(() => rm(folder, { recursive: true }));

async function openLog(): Promise<LogFile> {
  const log = await LogFile.open(path);
  if (log === undefined) throw new Error('there is a line');
  return log;
}

describe('LogFile', () => {
  it('gives no line of another log that took its place between two reads', async () => {
    writeFileSync(path, 'one\ntwo\n');
    const log = await openLog();
    const head = await log.head(0);
    expect(await log.readLines(4, { head, isFinished: false })).toMatchObject([{ text: 'two' }]);
    truncateSync(path);
    appendFileSync(path, 'six\nseven\n');
    expect(await log.readLines(4, { head, isFinished: false })).toEqual([]);
    await log.close();
  });

  it('gives a line without an end only when nothing can follow', async () => {
    writeFileSync(path, 'one\ntw');
    const log = await openLog();
    const head = await log.head(0);
    const texts = async (isFinished: boolean) =>
      (await log.readLines(0, { head, isFinished })).map(({ text, end }) => `${text} to ${end}`);
    expect(await texts(false)).toEqual(['one to 4']);
    expect(await texts(true)).toEqual(['one to 4', 'tw to 6']);
    await log.close();
  });
});
