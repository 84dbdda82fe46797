import { InvalidSettings } from './config/config.js';

/**
 * Runs a process of ours to its start. Settings that are not right are told on standard error and end it with 1. When
 * the launcher that started it dies, it stops as by SIGTERM, since nobody else ever would stop it.
 */
export function runProcess(start: () => Promise<void>): void {
  const stop = () => process.kill(process.pid, 'SIGTERM');
  process.once('disconnect', stop);
  start()
    .then(() => {
      if (process.channel && !process.connected) stop();
      else process.send?.({ ready: true });
    })
    .catch((error: unknown) => {
      const isKnown = error instanceof InvalidSettings;
      const text =
        error instanceof Error ? (isKnown ? error.message : error.stack) : JSON.stringify(error);
      process.stderr.write(`${text}\n`);
      process.exit(1);
    });
}
