#!/usr/bin/env node
import { collect } from './collect/collect.js';
import { UsageFault, help, parseCommand } from './command.js';

/** Runs one command. The exit code is 0 when all was done, 1 when it stopped, 2 when it was called wrongly. */
async function main(): Promise<number> {
  const stop = new AbortController();
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => stop.abort());
  const say = (line: string): void => void process.stderr.write(`${line}\n`);
  const print = (line: string): void => void process.stdout.write(`${line}\n`);
  try {
    const command = parseCommand(process.argv.slice(2), process.env);
    if (command.name === 'help') print(help());
    else await collect(command.options, { signal: stop.signal, say, print });
    return 0;
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    say(`tollgate: ${error.message}`);
    return error instanceof UsageFault ? 2 : 1;
  }
}

process.exitCode = await main();
