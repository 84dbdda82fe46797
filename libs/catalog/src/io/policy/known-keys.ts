import { ownText } from '@io/platform';
import type { LoadedKey } from './key-policy.js';

/** Values that were asked about lately, a power of two: the keys of most accounts, and the busy ones of the largest. */
const RECENT_BITS = 14;
const RECENT = 2 ** RECENT_BITS;
/** Spreads neighbours over all places (the golden ratio of 32 bits). */
const SPREAD = 0x9e3779b1;
/** As if it had been read long before any process began; small, so that it stands in the object itself. */
const FORGOTTEN_MS = -(2 ** 30);

const idOf = (keyId: string) => `id ${keyId}`;

/**
 * The keys that are known, by a hash of their value, or by their id where only that was given. Values that were asked about
 * lately are found by themselves, in a third of the time that hashing takes: each has one place, which the next that
 * falls there takes over. What is forgotten is too old for anyone from then on, wherever it is still held.
 */
export class KnownKeys {
  private readonly byHash = new Map<string, LoadedKey>();
  /** A key that was rotated lately has more than one. */
  private readonly hashesOfKey = new Map<string, Set<string>>();
  /** Of the value that a key has now. */
  private readonly hashOfKey = new Map<string, string>();
  /** Value, key, value, key. */
  private readonly recent = Array<string | LoadedKey | null>(2 * RECENT).fill(null);

  get size(): number {
    return this.byHash.size;
  }

  /** The key of a value that was asked about lately. It may have been forgotten since: then it is too old. */
  recently(apiKey: string): LoadedKey | null {
    const place = placeOf(apiKey);
    return this.recent[place] === apiKey ? (this.recent[place + 1] as LoadedKey) : null;
  }

  /** By the hash of a value, or what `idFor` says. */
  get(id: string): LoadedKey | undefined {
    return this.byHash.get(id);
  }

  /** That this key is the one of the value, which is not kept when it has characters of more than a byte. */
  sawValue(apiKey: string, key: LoadedKey): void {
    const value = ownText(apiKey);
    if (value !== apiKey) return;
    const place = placeOf(apiKey);
    this.recent[place] = value;
    this.recent[place + 1] = key;
  }

  /** What a key goes by whose value was not given: the hash of its value where that is known. */
  idFor(keyId: string): string {
    const hash = this.hashOfKey.get(keyId);
    return hash !== undefined && this.byHash.has(hash) ? hash : idOf(keyId);
  }

  /** `isCurrent`: not a value that the key had before it was rotated. */
  set(id: string, key: LoadedKey, isCurrent: boolean): void {
    this.forgetOne(id);
    this.byHash.set(id, key);
    if (id === idOf(key.keyId)) return;
    const hashes = this.hashesOfKey.get(key.keyId);
    if (hashes) hashes.add(id);
    else this.hashesOfKey.set(key.keyId, new Set([id]));
    if (isCurrent) this.hashOfKey.set(key.keyId, id);
  }

  forgetOne(id: string): void {
    const key = this.byHash.get(id);
    if (!key) return;
    key.loadedAtMs = FORGOTTEN_MS;
    this.byHash.delete(id);
  }

  forgetKey(keyId: string): void {
    for (const hash of this.hashesOfKey.get(keyId) ?? []) this.forgetOne(hash);
    this.forgetOne(idOf(keyId));
    this.hashesOfKey.delete(keyId);
    this.hashOfKey.delete(keyId);
  }

  /** Those of an account, or all. */
  forgetAll(ofAccountId: string | null): void {
    for (const { accountId, keyId } of this.byHash.values())
      if (ofAccountId === null || accountId === ofAccountId) this.forgetKey(keyId);
  }
}

/** By its end: a beginning says what kind of key it is. */
function placeOf(apiKey: string): number {
  const end = apiKey.length;
  const chars =
    apiKey.charCodeAt(end - 1) |
    (apiKey.charCodeAt(end - 2) << 7) |
    (apiKey.charCodeAt(end - 3) << 14) |
    (apiKey.charCodeAt(end - 4) << 21);
  return 2 * (Math.imul(chars, SPREAD) >>> (32 - RECENT_BITS));
}
