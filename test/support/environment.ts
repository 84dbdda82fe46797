import { afterFile } from './after-file.js';

/** Sets variables of this process, which the files of tests in it share, until the file has ended. */
export function setEnvironment(settings: Readonly<Record<string, string>>): void {
  const before = { ...process.env };
  Object.assign(process.env, settings);
  afterFile(() => {
    for (const name of Object.keys(settings)) {
      if (before[name] === undefined) delete process.env[name];
      else process.env[name] = before[name];
    }
  });
}
