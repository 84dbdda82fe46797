import { spawnSync } from 'node:child_process';
import { chmodSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import pg from 'pg';
import { describe, expect, inject, it, onTestFinished } from 'vitest';
import { entryOf } from '../../scripts/build.mjs';
import { freePort } from '../../scripts/free-port.mjs';
import { aHome, launch, postmasterOf, processesWith } from '../support/launcher.js';
import { withDatabase } from '../support/test-server.js';

const READY = 'Ctrl-C stops it';
/** Up to three starts on a machine that does other work. */
const LIFE = { timeout: 400_000 };

describe('npm start', () => {
  it(
    'brings everything up and down, keeps data and secrets, and prints commands that work when pasted',
    LIFE,
    async () => {
      const home = aHome();
      const port = await freePort();
      const environment = { TOLLGATE_HOME: home, PORT: String(port) };
      const first = launch(environment);
      const output = await first.prints(READY);
      const { operatorToken } = secretsOf(home);
      expect((await fetch(`http://127.0.0.1:${port}/health/ready`)).status).toBe(200);
      expect(output).toContain(operatorToken);
      const commands = commandsOf(output);
      expect(commands).toHaveLength(3);
      expectAnswers(commands, 'first start');
      expect(pasted(commands[0] ?? '').body).toMatchObject({ allowed: true });
      expect(commands.join('\n')).not.toMatch(/tg[ow]_/);
      await onDatabase(home, 'CREATE TABLE kept AS SELECT 1 AS one');

      const besides = await launch({ ...environment, PORT: String(await freePort()) }).ended;
      expect([besides.code, besides.output.trim()]).toEqual([
        1,
        expect.stringMatching(/^Tollgate already runs .*\.$/),
      ]);

      const postmaster = postmasterOf(home);
      first.child.kill('SIGINT');
      expect((await first.ended).code).toBe(0);
      expect(processesWith(home)).toEqual([]);
      expect(isAlive(postmaster)).toBe(false);

      const again = await launch(environment).prints(READY);
      expect(secretsOf(home).operatorToken).toBe(operatorToken);
      expect(again).not.toContain(operatorToken);
      expect(commandsOf(again)).toEqual(commands);
      expectAnswers(commands, 'second start');
      expect(await onDatabase(home, 'SELECT one FROM kept')).toEqual([{ one: 1 }]);
    },
  );

  it(
    'leaves no process when it is killed, stops what outlived it, starts again what is killed, and keeps what was committed',
    LIFE,
    async () => {
      const home = aHome();
      const port = await freePort();
      const environment = { TOLLGATE_HOME: home, PORT: String(port), TOLLGATE_DEMO: 'off' };
      const first = launch(environment);
      await first.prints(READY);
      await onDatabase(home, 'CREATE TABLE kept AS SELECT 1 AS one');
      const kept = async () =>
        expect(await onDatabase(home, 'SELECT one FROM kept')).toEqual([{ one: 1 }]);
      const postmaster = postmasterOf(home);
      first.child.kill('SIGKILL');
      await first.ended;
      await gone(postmaster);

      const second = launch(environment);
      const commands = commandsOf(await second.prints(READY));
      await kept();
      // Without the demo, what it prints reads the token from the file of secrets.
      expect(commands).toHaveLength(3);
      expectAnswers(commands, 'after a kill');
      const left = postmasterOf(home);
      for (const guard of processesWith(`sh ${left} `)) process.kill(guard, 'SIGKILL');
      second.child.kill('SIGKILL');
      await second.ended;
      expect(isAlive(left)).toBe(true);

      const third = launch(environment);
      expect(await third.prints(READY)).toContain('that an earlier run left behind');
      expect(isAlive(left)).toBe(false);
      await kept();

      const killed = postmasterOf(home);
      process.kill(killed, 'SIGKILL');
      await third.prints('PostgreSQL ended');
      for (const api of processesWith(entryOf('api'))) {
        if (parentOf(api) === third.child.pid) process.kill(api, 'SIGKILL');
      }
      await third.prints('The api ended (SIGKILL) and is started again');
      await until(() => readyAt(port));
      expect(postmasterOf(home)).not.toBe(killed);
      await kept();
    },
  );

  it('refuses a taken port, in one sentence', async () => {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen({ port: 0, host: '127.0.0.1' }, resolve));
    onTestFinished(() => void server.close());
    const { port } = server.address() as { port: number };
    const { code, output } = await launch({ TOLLGATE_HOME: aHome(), PORT: String(port) }).ended;
    expect([code, output.trim()]).toEqual([
      1,
      expect.stringMatching(/^Port \d+ .* is taken: .*\.$/),
    ]);
  });

  const SECRET = '0123456789abcdefghijklmnopqrstuvwxyzABCDEF';
  const server = new URL(inject('testServer').ownerUrl);
  const wrongPassword = new URL(server);
  wrongPassword.password = 'wrong';

  it.each([
    { set: { PORT: '80a' }, says: /^PORT is "80a": set it to a whole number/ },
    { set: { PORT: '0' }, says: /^PORT is "0"/ },
    { set: { HOST: '203.0.113.7' }, says: /^HOST=203\.0\.113\.7 is no address of this machine/ },
    {
      set: { TOLLGATE_HOME: '/dev/null/x' },
      says: /^The folder \/dev\/null\/x cannot be written .*TOLLGATE_HOME/,
    },
    { set: { TOLLGATE_DEMO: 'maybe' }, says: /TOLLGATE_DEMO/ },
    {
      set: { DATABASE_URL: server.href },
      says: /^DATABASE_URL is set and TOLLGATE_SECRET is not: .*openssl/,
    },
    {
      set: { DATABASE_URL: 'postgresql://nobody:pw-canary@127.0.0.1:9/x', TOLLGATE_SECRET: SECRET },
      says: /^The database x on 127\.0\.0\.1:9 cannot be used: no PostgreSQL listens there/,
    },
    {
      set: { DATABASE_URL: wrongPassword.href, TOLLGATE_SECRET: SECRET },
      says: /it refuses the password of "\w+"; correct DATABASE_URL/,
    },
    {
      set: { DATABASE_URL: withDatabase(server.href, 'nowhere'), TOLLGATE_SECRET: SECRET },
      says: /it has no database "nowhere"; create it/,
    },
    {
      set: { DATABASE_URL: 'mysql://x/y', TOLLGATE_SECRET: SECRET },
      says: /DATABASE_URL must be a URL/,
    },
    {
      set: { REDIS_URL: 'redis://127.0.0.1:9' },
      says: /^The Redis on 127\.0\.0\.1:9 cannot be used .*leave REDIS_URL out/,
    },
  ])('says what is wrong with $set and ends with 1', async ({ set, says }) => {
    const base = { TOLLGATE_HOME: aHome(), PORT: String(await freePort()) };
    const { code, output } = await launch({ ...base, ...set }).ended;
    expect(code).toBe(1);
    expect(output.trim()).toMatch(says);
    expect(output).not.toContain('pw-canary');
    expect(output).not.toMatch(/\n +at /);
  });

  it('refuses a home that others can read', async () => {
    const home = aHome();
    chmodSync(home, 0o755);
    const { code, output } = await launch({ TOLLGATE_HOME: home, PORT: String(await freePort()) })
      .ended;
    expect([code, output.trim()]).toEqual([1, expect.stringContaining(`chmod 700 ${home}`)]);
  });

  it.each(['api', 'worker'])('start:%s alone asks for a database', async (app) => {
    const { code, output } = await launch({ TOLLGATE_HOME: aHome() }, [app]).ended;
    expect([code, output.trim()]).toEqual([
      1,
      expect.stringMatching(/^npm run start:\w+ .*needs DATABASE_URL.*\.$/),
    ]);
  });

  it('tells an old Node so, in one sentence', async () => {
    const home = aHome();
    const pretend = join(home, 'old-node.cjs');
    writeFileSync(
      pretend,
      `Object.defineProperty(process, 'versions', { value: { ...process.versions, node: '12.22.12' } });`,
    );
    const { code, output } = await launch({ NODE_OPTIONS: `--require=${pretend}` }).ended;
    expect([code, output.trim()]).toEqual([
      1,
      expect.stringMatching(/^Tollgate needs Node 20\.19 or newer and this is 12\.22\.12: .*\.$/),
    ]);
  });
});

function secretsOf(home: string): { operatorToken: string } {
  return JSON.parse(readFileSync(join(home, 'secrets.json'), 'utf8')) as { operatorToken: string };
}

const commandsOf = (output: string) =>
  output.split('\n').filter((line) => line.startsWith('  curl '));

/** What a shell makes of a printed curl line. */
function pasted(command: string): { status: number; body: unknown } {
  const { stdout } = spawnSync('bash', ['-c', `${command} -sS -w '\n%{http_code}'`], {
    encoding: 'utf8',
    timeout: 10_000,
  });
  const [body = '', status] = stdout.split('\n');
  return { status: Number(status), body: JSON.parse(body) as unknown };
}

function expectAnswers(commands: readonly string[], when: string): void {
  for (const command of commands) {
    expect(pasted(command), `${when}: ${command}`).toMatchObject({ status: 200 });
  }
}

async function onDatabase(home: string, sql: string): Promise<unknown[]> {
  const { port, password } = JSON.parse(readFileSync(join(home, 'postgres.json'), 'utf8')) as {
    port: number;
    password: string;
  };
  const client = new pg.Client({
    host: '127.0.0.1',
    port,
    password,
    user: 'tollgate',
    database: 'tollgate',
  });
  await client.connect();
  try {
    return (await client.query(sql)).rows as unknown[];
  } finally {
    await client.end();
  }
}

function isAlive(pid: number): boolean {
  return processesWith('').includes(pid);
}

function parentOf(pid: number): number {
  return Number(/^PPid:\s*(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]);
}

const gone = (pid: number) => until(() => !isAlive(pid));

async function readyAt(port: number): Promise<boolean> {
  try {
    return (await fetch(`http://127.0.0.1:${port}/health/ready`)).ok;
  } catch {
    return false;
  }
}

/** Polls what tells nobody when it changes; the test's own time limit ends it. */
async function until(holds: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await holds())) await new Promise((resolve) => setTimeout(resolve, 50));
}
