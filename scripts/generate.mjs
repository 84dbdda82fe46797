// @ts-check
/**
 * Generates the Prisma client from `prisma/schema`, without a network, and only when the schema or
 * Prisma changed since the last time. `node scripts/generate.mjs --force` always does it.
 */
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { spawnSync } from 'node:child_process';
import { errorMessage, hashFiles } from './files.mjs';
import { ROOT } from './root.mjs';

const SCHEMA = join(ROOT, 'prisma', 'schema');
const GENERATED = join(ROOT, 'libs', 'platform', 'src', 'io', 'database', 'generated');
const STAMP = join(GENERATED, '.stamp');

/**
 * Returns whether the client was generated; `false` means that it was up to date or that there is no schema yet.
 *
 * @param {{ force?: boolean }} [options]
 */
export function generateClient({ force = false } = {}) {
  if (!existsSync(SCHEMA)) return false;
  const stamp = hashFiles([SCHEMA, join(ROOT, 'node_modules', 'prisma', 'package.json')]);
  if (!force && existsSync(STAMP) && readFileSync(STAMP, 'utf8') === stamp) return false;

  rmSync(GENERATED, { recursive: true, force: true });
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    [join(ROOT, 'node_modules', 'prisma', 'build', 'index.js'), 'generate'],
    {
      cwd: ROOT,
      encoding: 'utf8',
      env: {
        ...process.env,
        // The command downloads a schema engine that generating does not use; any existing file stops it.
        PRISMA_SCHEMA_ENGINE_BINARY: process.execPath,
        PRISMA_HIDE_UPDATE_MESSAGE: '1',
        CHECKPOINT_DISABLE: '1',
      },
    },
  );
  if (status !== 0) throw new Error(`prisma generate failed:\n${stdout}${stderr}`);
  if (!existsSync(GENERATED)) {
    throw new Error(`prisma generate wrote no ${GENERATED}; is it the output of the generator?`);
  }
  writeFileSync(STAMP, stamp);
  return true;
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  try {
    if (generateClient({ force: process.argv.includes('--force') })) {
      console.log('Generated the Prisma client.');
    }
  } catch (error) {
    console.error(errorMessage(error));
    process.exitCode = 1;
  }
}
