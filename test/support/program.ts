import { spawn } from 'node:child_process';
import { connect } from 'node:net';
import { findCommand } from './services.js';

/** A program that listens on a port. */
export interface RunningProgram {
  /** What it printed so far. */
  readonly said: string;
  /** Ends it, with a signal of its own first. */
  stop(signal?: NodeJS.Signals): Promise<void>;
}

const START_MS_MAX = 15_000;
const STOP_MS_MAX = 5_000;

/** Starts a program and waits until it listens. Throws what it said when it does not. */
export async function startProgram({
  name,
  args,
  environment,
  port,
}: {
  readonly name: string;
  readonly args: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
  readonly port: number;
}): Promise<RunningProgram> {
  const child = spawn(findCommand(name) ?? name, [...args], {
    env: { PATH: process.env['PATH'] ?? '', ...environment },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const running = { said: '' };
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => (running.said += text));
  }
  let hasEnded = false;
  const ended = new Promise<void>((resolve) => {
    child.once('error', (error) => {
      running.said += error.message;
      hasEnded = true;
      resolve();
    });
    child.once('close', () => {
      hasEnded = true;
      resolve();
    });
  });
  const stop = async (signal: NodeJS.Signals = 'SIGTERM'): Promise<void> => {
    if (!hasEnded) child.kill(signal);
    const killer = setTimeout(() => child.kill('SIGKILL'), STOP_MS_MAX);
    await ended;
    clearTimeout(killer);
  };
  const until = Date.now() + START_MS_MAX;
  while (!(await accepts(port))) {
    if (hasEnded || Date.now() > until) {
      await stop();
      throw new Error(`${name} does not listen on port ${port}:\n${running.said}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  return Object.assign(running, { stop });
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('error', () => resolve(false));
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
  });
}
