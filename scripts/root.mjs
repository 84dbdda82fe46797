// @ts-check
import { fileURLToPath } from 'node:url';

/** The folder of the repository, whatever folder the command is called from. */
export const ROOT = fileURLToPath(new URL('..', import.meta.url));
