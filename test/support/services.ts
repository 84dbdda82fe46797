import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';
import { describe } from 'vitest';

/** Debian keeps servers where an ordinary user's PATH does not look. */
const ALSO = ['/usr/sbin', '/usr/local/sbin'];

/** Whether a program can be started by its name. */
export function hasCommand(name: string): boolean {
  return findCommand(name) !== undefined;
}

/** The path of a program, on the PATH or where Debian puts servers. */
export function findCommand(name: string): string | undefined {
  const folders = [...(process.env['PATH'] ?? '').split(delimiter), ...ALSO];
  return folders
    .filter((folder) => folder !== '')
    .map((folder) => join(folder, name))
    .find(isExecutable);
}

/**
 * `describe` for tests that need programs of this machine. Without one of them the tests are skipped under a name that says
 * which; with `CI=true` a skip is a failure, so there they run and fail.
 */
export function describeWith(
  commands: string | readonly string[],
  name: string,
  define: () => void,
): void {
  const missing = [commands].flat().filter((command) => !hasCommand(command));
  const title = missing.length === 0 ? name : `${name} (needs ${missing.join(', ')} on the PATH)`;
  // oxlint-disable-next-line vitest/valid-title, vitest/valid-describe-callback -- both come from the caller
  describe.skipIf(missing.length > 0 && process.env['CI'] !== 'true')(title, define);
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
