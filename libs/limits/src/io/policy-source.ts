import type { KeyPolicy } from '@core/limits';

/**
 * Finds what a key may do. The catalogue implements it; limits only asks, since who may call what is not its
 * business. Answers at once when it knows, which is what keeps a decision synchronous.
 */
export abstract class PolicySource {
  /** Null when there is no such key. Rejects when it cannot be found out. */
  abstract find(apiKey: string): KeyPolicy | null | Promise<KeyPolicy | null>;
}
