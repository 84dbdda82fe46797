import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { hashFiles } from '../files.mjs';
import { loadSecrets, lockHome, prepareHome } from './home.mjs';
import { isInstalled } from './install.mjs';
import { lastWords, rotate } from './processes.mjs';
import { countResults } from './test.mjs';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'tollgate-unit-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const modeOf = (path: string) => (statSync(path).mode & 0o777).toString(8);

describe('the home', () => {
  it('is its owner’s alone, and so are the secrets in it', () => {
    const home = join(folder, 'home');
    prepareHome(home);
    const { path, secrets, isNew } = loadSecrets(home);
    expect([modeOf(home), modeOf(path), isNew]).toEqual(['700', '600', true]);
    expect(secrets).toEqual({
      secret: expect.stringMatching(/^[0-9a-z]{8}:[A-Za-z0-9+/]{43}=$/),
      operatorToken: expect.stringMatching(/^tgo_[0-9A-Za-z]{40}$/),
      gatewayToken: expect.stringMatching(/^tgw_[0-9A-Za-z]{40}$/),
      accessKeyId: expect.stringMatching(/^AKIA[A-Z2-7]{16}$/),
      secretAccessKey: expect.stringMatching(/^[0-9A-Za-z]{40}$/),
    });
  });

  it('keeps its secrets', () => {
    const { secrets } = loadSecrets(folder);
    expect(loadSecrets(folder)).toMatchObject({ secrets, isNew: false });
  });

  it.each([
    { mode: 0o755, why: 'others can list it' },
    { mode: 0o701, why: 'others can pass through' },
    { mode: 0o750, why: 'the group can list it' },
  ])('is refused when $why', ({ mode }) => {
    chmodSync(folder, mode);
    expect(() => prepareHome(folder)).toThrow(/open to other users .*chmod 700/);
  });

  it('is refused when others can read the secrets', () => {
    chmodSync(loadSecrets(folder).path, 0o640);
    expect(() => loadSecrets(folder)).toThrow(/chmod 600/);
  });

  it.each([
    { content: '', why: 'empty' },
    { content: '{"secret":"x"}', why: 'incomplete' },
    { content: 'null', why: 'nothing' },
  ])('never replaces a secrets file that is $why: data was sealed with it', ({ content }) => {
    const path = join(folder, 'secrets.json');
    writeFileSync(path, content, { mode: 0o600 });
    expect(() => loadSecrets(folder)).toThrow(/restore it from a backup/);
    expect(readFileSync(path, 'utf8')).toBe(content);
  });

  it('has one launcher at a time, and is free again after it', async () => {
    const unlock = await lockHome(folder, 'http://127.0.0.1:1');
    await expect(lockHome(folder, '')).rejects.toThrow(/already runs .*http:\/\/127.0.0.1:1/);
    unlock();
    (await lockHome(folder, ''))();
  });

  it('is free when its launcher was killed, whoever has its port now', async () => {
    const holder = { pid: process.pid, port: 9, nonce: 'x', url: '' };
    writeFileSync(join(folder, 'running.json'), JSON.stringify(holder));
    (await lockHome(folder, ''))();
    writeFileSync(join(folder, 'running.json'), '{"pid":');
    await expect(lockHome(folder, '')).resolves.toBeTypeOf('function');
  });
});

describe('isInstalled', () => {
  const wanted = {
    '': { version: '1.0.0' },
    'node_modules/a': { version: '1.2.3', integrity: 'sha512-a' },
    'node_modules/b-win32': { version: '1.0.0', optional: true },
  };
  const a = { version: '1.2.3', integrity: 'sha512-a' };

  it.each([
    {
      installed: { 'node_modules/a': a },
      answer: true,
      why: 'an optional package of another platform is absent',
    },
    { installed: {}, answer: false, why: 'a package is missing' },
    {
      installed: { 'node_modules/a': { ...a, version: '1.2.2' } },
      answer: false,
      why: 'a package is older',
    },
    {
      installed: { 'node_modules/a': { ...a, integrity: 'sha512-b' } },
      answer: false,
      why: 'a package has other content',
    },
    {
      installed: undefined,
      answer: false,
      why: 'nothing is installed, or the installation was cut off',
    },
  ])('is $answer when $why', ({ installed, answer }) => {
    writeFileSync(join(folder, 'package-lock.json'), JSON.stringify({ packages: wanted }));
    mkdirSync(join(folder, 'node_modules'));
    const note = join(folder, 'node_modules', '.package-lock.json');
    if (installed) writeFileSync(note, JSON.stringify({ packages: installed }));
    expect(isInstalled(folder)).toBe(answer);
  });
});

describe('hashFiles', () => {
  it('changes with a name, with a content, and with where one file ends and the next begins', () => {
    const hashes = [{ a: 'x' }, { b: 'x' }, { a: 'y' }, { a: 'x', b: '' }, { a: '', b: 'x' }].map(
      (files, index) => {
        const place = join(folder, String(index), 'same');
        mkdirSync(place, { recursive: true });
        for (const [name, content] of Object.entries(files))
          writeFileSync(join(place, name), content);
        return hashFiles([place]);
      },
    );
    expect(new Set(hashes).size).toBe(hashes.length);
  });
});

describe('lastWords', () => {
  it.each([
    {
      log: '{"level":"info","msg":"up"}\nError: no',
      words: 'Error: no',
      why: 'a stack is not JSON',
    },
    {
      log: '{"level":"error","msg":"broke","err":{"message":"disk full"}}\n{"level":"info","msg":"bye"}\n',
      words: 'broke: disk full',
      why: 'the last error counts, not the last line',
    },
    { log: '', words: 'it left no reason in its log', why: 'it was killed' },
  ])('are "$words": $why', ({ log, words }) => expect(lastWords(log)).toBe(words));
});

describe('rotate', () => {
  it('keeps the logs of the last three starts', () => {
    const log = join(folder, 'api.log');
    for (const start of ['1', '2', '3', '4', '5']) {
      rotate(log);
      writeFileSync(log, start);
    }
    const kept = ['', '.1', '.2', '.3'].map((suffix) => readFileSync(log + suffix, 'utf8'));
    expect(kept).toEqual(['5', '4', '3', '2']);
  });
});

describe('countResults', () => {
  it('counts a file that failed before its first test, and names what was skipped', () => {
    const result = (status: string, ...tests: string[]) => ({
      name: 'a.spec.ts',
      status,
      assertionResults: tests.map((status) => ({ fullName: status, status })),
    });
    const report = {
      testResults: [
        result('passed', 'passed', 'passed', 'skipped'),
        result('failed', 'failed', 'passed'),
        result('failed'),
      ],
    };
    expect(countResults(report)).toMatchObject({
      passed: 3,
      failed: 2,
      skipped: [expect.stringMatching(/a\.spec\.ts: skipped$/)],
    });
  });
});
