#!/usr/bin/env node
import { createReadStream, readFileSync } from 'node:fs';
import { collect } from './collect/collect.js';
import { UsageFault, help, parseCommand } from './command.js';
import { runFinance } from './exports/run-finance.js';
import { runStuck } from './stuck/run-stuck.js';
import { terminalOf } from './exports/terminal.js';

const CLEAR_LINE = '\r\u001b[K';

/** Runs one command. The exit code is 0 when all was done, 1 when it stopped, 2 when it was called wrongly. */
async function main(): Promise<number> {
  const stop = new AbortController();
  const drain = new AbortController();
  // The first signal sends what is written; a second one does not wait for that.
  const onSignal = (): void => (drain.signal.aborted ? stop.abort() : drain.abort());
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, onSignal);
  const { stderr, stdout } = process;
  const clear = stderr.isTTY ? CLEAR_LINE : '';
  const say = (line: string): void => void stderr.write(`${clear}${line}\n`);
  const print = (line: string): void => void stdout.write(`${line}\n`);
  const show = stderr.isTTY ? (line: string) => void stderr.write(clear + line) : undefined;
  try {
    const readFile = (path: string): string => readFileSync(path, 'utf8');
    const command = parseCommand(process.argv.slice(2), process.env, readFile);
    switch (command.name) {
      case 'help':
        print(help());
        return 0;
      case 'collect': {
        const around = { signal: stop.signal, drain: drain.signal, say, print, show };
        await collect(command.options, around);
        return 0;
      }
      case 'exports':
      case 'export':
      case 'report':
      case 'explain':
        await runFinance(command, {
          say,
          print,
          show,
          terminal: terminalOf(stdout, process.env),
        });
        return 0;
      case 'stuck':
        await runStuck(command, print);
        return 0;
      case 'verify-statement': {
        // Read only now: the file is a program too, and would take itself for ours where both are bundled into one.
        const { readStatementKeys, verifiedText, verifyStatement } =
          await import('./statement/verify-statement.js');
        const keys = await readStatementKeys(command.keys);
        print(verifiedText(await verifyStatement(createReadStream(command.path), keys)));
        return 0;
      }
    }
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    say(`tollgate: ${error.message}`);
    return error instanceof UsageFault ? 2 : 1;
  }
}

process.exitCode = await main();
