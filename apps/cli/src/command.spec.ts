import { describe, expect, it } from 'vitest';
import { UsageFault, parseCommand } from './command.js';

const TOKEN = { TOLLGATE_GATEWAY_TOKEN: 'tgg_secret' };

describe('parseCommand', () => {
  it('reads a command with its defaults', () => {
    expect(parseCommand(['collect', '/var/log/a.log'], TOKEN)).toEqual({
      name: 'collect',
      options: {
        log: '/var/log/a.log',
        service: { url: 'http://127.0.0.1:3000', token: 'tgg_secret' },
        state: '/var/log/a.log.tollgate-state',
        intervalMs: 1_000,
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
    expect(parseCommand(args, {})).toEqual({ name: 'help' });
  });

  it.each([
    { args: ['collcet', 'a'], environment: TOKEN, says: '"collcet" is no command' },
    { args: ['collect'], environment: TOKEN, says: 'one access log' },
    { args: ['collect', 'a', 'b'], environment: TOKEN, says: 'one access log' },
    { args: ['collect', 'a'], environment: {}, says: 'set TOLLGATE_GATEWAY_TOKEN' },
    { args: ['collect', 'a', '--url', 'ftp://x'], environment: TOKEN, says: 'no http(s) URL' },
    { args: ['collect', 'a', '--interval', 'x'], environment: TOKEN, says: '--interval' },
    {
      args: ['collect', 'a', '--token', 'x'],
      environment: TOKEN,
      says: "Unknown option '--token'",
    },
  ])('refuses $args: $says', ({ args, environment, says }) => {
    expect(() => parseCommand(args, environment)).toThrow(UsageFault);
    expect(() => parseCommand(args, environment)).toThrow(says);
  });
});
