import { spawnSync } from 'node:child_process';
import { chmodSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import pg from 'pg';
import { describe, expect, inject, it, onTestFinished } from 'vitest';
import { freePort } from '../../scripts/free-port.mjs';
import { aHome, launch, postmasterOf, processesWith } from '../support/launcher.js';
import { withDatabase } from '../support/test-server.js';

const READY = 'Ctrl-C stops it';

describe('npm start', () => {
  it('brings everything up, and down again without a process left', async () => {
    const home = aHome();
    const port = await freePort();
    const launcher = launch({ TOLLGATE_HOME: home, PORT: String(port) });
    const output = await launcher.prints(READY);

    const health = await fetch(`http://127.0.0.1:${port}/health/ready`);
    expect(health.status).toBe(200);
    expect(output).toMatch(/operator token +tgo_/);
    const postmaster = postmasterOf(home);

    launcher.child.kill('SIGINT');
    expect((await launcher.ended).code).toBe(0);
    expect(processesWith(home)).toEqual([]);
    expect(isAlive(postmaster)).toBe(false);
  });

  it('keeps data and secrets, and shows the token once', async () => {
    const home = aHome();
    const environment = { TOLLGATE_HOME: home, PORT: String(await freePort()) };
    const first = launch(environment);
    await first.prints(READY);
    const { operatorToken } = secretsOf(home);
    await onDatabase(home, 'CREATE TABLE kept AS SELECT 1 AS one');
    first.child.kill('SIGINT');
    await first.ended;

    const second = launch({ ...environment, TOLLGATE_DEMO: 'off' });
    const output = await second.prints(READY);
    expect(secretsOf(home).operatorToken).toBe(operatorToken);
    expect(output).not.toContain(operatorToken);
    for (const command of commandsOf(output)) {
      expect(pasted(command), `pasted: ${command}`).toMatchObject({ status: 200 });
    }
    expect(commandsOf(output)).toHaveLength(3);
    expect(await onDatabase(home, 'SELECT one FROM kept')).toEqual([{ one: 1 }]);
  });

  it('prints commands that work when pasted, with the same keys at each start', async () => {
    const home = aHome();
    const environment = { TOLLGATE_HOME: home, PORT: String(await freePort()) };
    const printed: string[][] = [];
    for (const start of ['first', 'second']) {
      const launcher = launch(environment);
      const output = await launcher.prints(READY);
      const commands = commandsOf(output);
      for (const command of commands) {
        expect(pasted(command), `${start} start: ${command}`).toMatchObject({ status: 200 });
      }
      expect(pasted(commands[0] ?? '').body).toMatchObject({ allowed: true });
      expect(commands.join('\n')).not.toMatch(/tg[ow]_/);
      printed.push(commands);
      launcher.child.kill('SIGINT');
      await launcher.ended;
    }
    expect(printed[0]).toHaveLength(3);
    expect(printed[1]).toEqual(printed[0]);
  });

  it('leaves no process when it is killed, and keeps what was committed', async () => {
    const home = aHome();
    const environment = { TOLLGATE_HOME: home, PORT: String(await freePort()) };
    const first = launch(environment);
    await first.prints(READY);
    await onDatabase(home, 'CREATE TABLE kept AS SELECT 1 AS one');
    const postmaster = postmasterOf(home);
    first.child.kill('SIGKILL');
    await first.ended;
    await gone(postmaster);

    const second = launch(environment);
    await second.prints(READY);
    expect(await onDatabase(home, 'SELECT one FROM kept')).toEqual([{ one: 1 }]);
  });

  it('stops a database that outlived launcher and guard, and keeps what was committed', async () => {
    const home = aHome();
    const environment = { TOLLGATE_HOME: home, PORT: String(await freePort()) };
    const first = launch(environment);
    await first.prints(READY);
    await onDatabase(home, 'CREATE TABLE kept AS SELECT 1 AS one');
    const left = postmasterOf(home);
    for (const guard of processesWith(`sh ${left} `)) process.kill(guard, 'SIGKILL');
    first.child.kill('SIGKILL');
    await first.ended;
    expect(isAlive(left)).toBe(true);

    const second = launch(environment);
    const output = await second.prints(READY);
    expect(output).toContain('that an earlier run left behind');
    expect(isAlive(left)).toBe(false);
    expect(await onDatabase(home, 'SELECT one FROM kept')).toEqual([{ one: 1 }]);
  });

  it('starts PostgreSQL and the api again when they are killed', async () => {
    const home = aHome();
    const port = await freePort();
    const launcher = launch({ TOLLGATE_HOME: home, PORT: String(port) });
    await launcher.prints(READY);
    await onDatabase(home, 'CREATE TABLE kept AS SELECT 1 AS one');

    const killed = postmasterOf(home);
    process.kill(killed, 'SIGKILL');
    await launcher.prints('PostgreSQL ended');
    for (const api of processesWith(join('api', 'src', 'main.js'))) {
      if (parentOf(api) === launcher.child.pid) process.kill(api, 'SIGKILL');
    }
    await launcher.prints('The api ended (SIGKILL) and is started again');
    await until(() => readyAt(port));
    expect(postmasterOf(home)).not.toBe(killed);
    expect(await onDatabase(home, 'SELECT one FROM kept')).toEqual([{ one: 1 }]);
  });

  it('refuses a second start in the same folder, in one sentence', async () => {
    const home = aHome();
    const environment = { TOLLGATE_HOME: home, PORT: String(await freePort()) };
    const first = launch(environment);
    await first.prints(READY);
    const { code, output } = await launch({ ...environment, PORT: String(await freePort()) }).ended;
    expect([code, output.trim()]).toEqual([
      1,
      expect.stringMatching(/^Tollgate already runs .*\.$/),
    ]);
  });

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
