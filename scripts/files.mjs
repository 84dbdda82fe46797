// @ts-check
import { createHash } from 'node:crypto';
import {
  closeSync,
  existsSync,
  fsyncSync,
  openSync,
  readFileSync,
  readdirSync,
  renameSync,
  statSync,
  writeSync,
} from 'node:fs';
import { join, relative } from 'node:path';
import { ROOT } from './root.mjs';

/**
 * A hash over names and contents of files and, for folders, of everything in them; what is missing counts as missing.
 *
 * @param {readonly string[]} paths
 * @param {(path: string) => boolean} [isWanted] asked for each file and folder below the paths
 */
export function hashFiles(paths, isWanted = () => true) {
  const hash = createHash('sha256');
  /** @param {string} path */
  const add = (path) => {
    if (!existsSync(path)) {
      hash.update(`${relative(ROOT, path)}\0missing\0`);
    } else if (statSync(path).isDirectory()) {
      for (const name of readdirSync(path).sort()) {
        const child = join(path, name);
        if (isWanted(child)) add(child);
      }
    } else {
      const content = readFileSync(path);
      hash.update(`${relative(ROOT, path)}\0${content.length}\0`).update(content);
    }
  };
  for (const path of paths) add(path);
  return hash.digest('hex');
}

/**
 * Writes a file that is either the old or the new one, whenever the power fails; only its owner can read it.
 *
 * @param {string} path
 * @param {string} content
 */
export function writePrivateFile(path, content) {
  const draft = `${path}.new`;
  const file = openSync(draft, 'w', 0o600);
  try {
    writeSync(file, content);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
  renameSync(draft, path);
}

/**
 * The system's word for what went wrong (`ENOENT`) or the server's (`42P01`), if it has one.
 *
 * @param {unknown} error
 */
export function errorCode(error) {
  return error instanceof Error && 'code' in error ? String(error.code) : undefined;
}

/** @param {unknown} error */
export function errorMessage(error) {
  return error instanceof Error ? error.message : String(error);
}
