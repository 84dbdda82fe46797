import { describe, expect, it } from 'vitest';
import { PRESETS } from './collect/log-format.js';
import { UsageFault, parseCommand } from './command.js';

const NO_FILE = (): string => {
  throw new Error('ENOENT: no such file');
};
const TOKEN = { TOLLGATE_GATEWAY_TOKEN: 'tgg_secret' };

describe('parseCommand', () => {
  it('reads a command with its defaults', () => {
    expect(parseCommand(['collect', '/var/log/a.log'], TOKEN, NO_FILE)).toEqual({
      name: 'collect',
      options: {
        log: '/var/log/a.log',
        format: PRESETS['nginx'],
        service: { url: 'http://127.0.0.1:3000', token: 'tgg_secret' },
        state: '/var/log/a.log.tollgate-state',
        setAside: '/var/log/a.log.tollgate-set-aside',
        intervalMs: 1_000,
        drainMs: 10_000,
        isOnce: false,
        isDryRun: false,
        skipsLost: false,
      },
    });
  });

  it.each([
    { args: [], why: 'nothing was asked' },
    { args: ['--help'], why: 'help was asked' },
  ])('shows help: $why', ({ args }) => {
    expect(parseCommand(args, {}, NO_FILE)).toEqual({ name: 'help' });
  });

  it.each([
    { args: ['collcet', 'a'], environment: TOKEN, says: '"collcet" is no command' },
    { args: ['collect'], environment: TOKEN, says: 'one access log' },
    { args: ['collect', 'a', 'b'], environment: TOKEN, says: 'one access log' },
    { args: ['collect', 'a'], environment: {}, says: 'set TOLLGATE_GATEWAY_TOKEN' },
    { args: ['collect', 'a', '--url', 'ftp://x'], environment: TOKEN, says: 'no http(s) URL' },
    { args: ['collect', 'a', '--interval', 'x'], environment: TOKEN, says: '--interval' },
    { args: ['collect', 'a', '--drain', '-1'], environment: TOKEN, says: '--drain' },
    {
      args: ['collect', 'a', '--format', 'ngnix'],
      environment: TOKEN,
      says: '--format is one of nginx, haproxy, envoy, caddy, or a file: ENOENT',
    },
    {
      args: ['collect', 'a', '--token', 'x'],
      environment: TOKEN,
      says: "Unknown option '--token'",
    },
  ])('refuses $args: $says', ({ args, environment, says }) => {
    expect(() => parseCommand(args, environment, NO_FILE)).toThrow(UsageFault);
    expect(() => parseCommand(args, environment, NO_FILE)).toThrow(says);
  });

  it.each([
    { args: ['stuck', 'forget', 'xch_1'], says: 'retry or resolve' },
    { args: ['stuck', 'retry'], says: 'the id of one' },
    { args: ['stuck', 'retry', 'xch_1'], says: '--reason' },
    { args: ['stuck', 'resolve', 'mrec_1', '--reason', 'x'], says: 'carried or written off' },
  ])('refuses $args: $says', ({ args, says }) => {
    expect(() => parseCommand(args, { TOLLGATE_TOKEN: 'tgo_x' }, NO_FILE)).toThrow(says);
  });

  it('reads what is asked of what is stuck', () => {
    const environment = { TOLLGATE_TOKEN: 'tgo_x', TOLLGATE_URL: 'https://tollgate.test' };
    const service = { url: 'https://tollgate.test', token: 'tgo_x' };
    const read = (...args: string[]) => parseCommand(['stuck', ...args], environment, NO_FILE);
    expect(read()).toEqual({ name: 'stuck', service, settle: null });
    expect(read('retry', 'xch_1', '--reason', 'mended')).toEqual({
      name: 'stuck',
      service,
      settle: { how: 'retry', id: 'xch_1', reason: 'mended' },
    });
  });

  it('reads what is asked of finance, with its defaults', () => {
    const environment = { TOLLGATE_TOKEN: 'tgo_secret', TOLLGATE_URL: 'https://tollgate.test' };
    const service = { url: 'https://tollgate.test', token: 'tgo_secret' };
    const read = (...args: string[]) => parseCommand(args, environment, NO_FILE);
    expect(read('exports')).toEqual({ name: 'exports', service });
    expect(read('export', 'journal', '--from', '2026-11-01T00:00:00Z')).toEqual({
      name: 'export',
      service,
      wanted: { name: 'journal', format: 'csv', from: '2026-11-01T00:00:00Z' },
      path: 'journal.csv',
    });
    expect(read('export', 'journal', '--out', '/tmp/j')).toMatchObject({ path: '/tmp/j' });
    expect(read('export', 'journal', '--out', 'j.parquet')).toMatchObject({
      wanted: { name: 'journal', format: 'parquet' },
    });
    expect(read('export', 'journal', '--format', 'parquet')).toMatchObject({
      wanted: { format: 'parquet' },
      path: 'journal.parquet',
    });
    expect(read('report', 'revenue')).toEqual({
      name: 'report',
      service,
      report: 'revenue',
      wanted: { name: 'revenue' },
      isCsv: false,
    });
    expect(read('report', 'ageing', '--to', '2026-12-01T00:00:00Z', '--csv')).toMatchObject({
      wanted: { name: 'receivables-ageing', to: '2026-12-01T00:00:00Z' },
      isCsv: true,
    });
    expect(read('report', 'deferred')).toMatchObject({ wanted: { name: 'deferred-revenue' } });
    expect(read('explain', 'inv_1', 'line_1')).toEqual({
      name: 'explain',
      service,
      invoiceId: 'inv_1',
      lineId: 'line_1',
    });
    expect(read('verify-statement', 'x.jsonl')).toEqual({
      name: 'verify-statement',
      path: 'x.jsonl',
      keys: 'https://tollgate.test/v1/statement-keys',
    });
    expect(read('verify-statement', 'x', '--keys', 'k.json')).toMatchObject({ keys: 'k.json' });
    expect(() => read('verify-statement')).toThrow('takes one file');
    expect(() => read('explain', 'inv_1')).toThrow('the id of an invoice');
    expect(() => read('export')).toThrow('tollgate exports lists them');
    expect(() => read('report', 'everything')).toThrow('revenue, deferred, ageing');
    expect(() => read('exports', 'journal')).toThrow('takes no name');
    expect(() => read('export', 'a', 'b')).toThrow('does not take "b"');
    expect(() => parseCommand(['exports'], TOKEN, NO_FILE)).toThrow('TOLLGATE_TOKEN');
  });

  it('reads a format from a file, and tells what is wrong in it by the line', () => {
    const command = (text: string) =>
      parseCommand(['collect', 'a', '--format', 'my.json'], TOKEN, () => text);
    expect(command('{"preset": "caddy", "prefix": true}')).toMatchObject({
      options: { format: { name: 'my.json', hasPrefix: true } },
    });
    expect(() => command('{\n"preset": "cady"}')).toThrow('my.json:2: preset: must be one of');
    expect(() => command('{\n"preset": "cady"}')).toThrow(UsageFault);
  });
});
