import { hash } from 'node:crypto';

/** What a cache in memory remembers a secret by, so that the secret itself is not kept. Not for the database: no pepper. */
export function memoryKey(secret: string): string {
  return hash('sha256', secret, 'base64');
}
