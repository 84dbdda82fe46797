/** One key of the root secret. The first of the list is current, the others still open what they sealed. */
export interface RootKey {
  readonly id: string;
  readonly key: Buffer;
}

/**
 * Reads `id:base64(32 B)[,id:base64(32 B)]`, or a bare secret of 32 or more characters (its id is `k1`).
 * Answers what is wrong as the rest of a sentence.
 */
export function parseKeys(value: string): RootKey[] | string {
  if (!/^[\w-]{1,16}:/.test(value)) {
    if (value.length < 32) return 'must have at least 32 characters.';
    if (new Set(value).size < 10) return 'is too uniform to be a secret: generate it.';
    return [{ id: 'k1', key: Buffer.from(value, 'utf8') }];
  }
  const keys: RootKey[] = [];
  for (const part of value.split(',')) {
    const [id = '', encoded = ''] = part.trim().split(/:(.*)/s);
    const key = Buffer.from(encoded, 'base64');
    if (!/^[\w-]{1,16}$/.test(id)) return 'must read id:base64[,id:base64].';
    if (key.length < 32) return `holds less than 32 bytes in its key "${id}".`;
    if (new Set(key).size < 10) return `is too uniform to be a secret in its key "${id}".`;
    if (keys.some((other) => other.id === id)) return `names the key "${id}" twice.`;
    keys.push({ id, key });
  }
  return keys;
}
