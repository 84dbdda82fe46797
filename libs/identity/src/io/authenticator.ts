import { Injectable } from '@nestjs/common';
import type { Principal } from '@core/identity';
import { memoryKey, PolicyEvents, SystemClock } from '@io/platform';
import { TokensRepository } from './tokens.repository.js';

/** The news when a cached answer must be gone at the latest, should the news of its change be lost. */
const TTL_MS = 30_000;
const ENTRIES_MAX = 10_000;
const TOKEN_LENGTH_MAX = 256;

interface Entry {
  readonly principal: Principal | null;
  readonly expiresAtMs: number;
}

const NOBODY = { token: null, entry: undefined };

/**
 * Finds whom a bearer token stands for. Answers are kept for 30 s, under a hash of the token, and dropped at once
 * when the database tells that a token, a gateway or the account changed.
 */
@Injectable()
export class Authenticator {
  private readonly entries = new Map<string, Entry>();
  private readonly loading = new Map<string, Promise<Principal | null>>();
  /** A gateway asks many times with one token: the one before is found without hashing it. */
  private last: { readonly token: string | null; readonly entry: Entry | undefined } = NOBODY;
  /** Counts the news, so that a look-up that was under way while one came is not kept. */
  private changes = 0;

  constructor(
    private readonly tokens: TokensRepository,
    private readonly clock: SystemClock,
    events: PolicyEvents,
  ) {
    events.subscribe((change) => {
      if (change?.keyId !== undefined) return;
      this.changes += 1;
      this.entries.clear();
      this.last = NOBODY;
    });
  }

  /** The principal if it is known already, `undefined` if it has to be looked up. Synchronous, for the hot path. */
  known(token: string): Principal | null | undefined {
    const entry = token === this.last.token ? this.last.entry : this.entries.get(memoryKey(token));
    if (entry) this.last = { token, entry };
    if (!entry || entry.expiresAtMs <= this.clock.nowMs()) return undefined;
    return entry.principal;
  }

  /** The principal of a token, or null when it is unknown, revoked or expired. Many at once ask the database once. */
  async principal(token: string): Promise<Principal | null> {
    if (token.length === 0 || token.length > TOKEN_LENGTH_MAX) return null;
    const known = this.known(token);
    if (known !== undefined) return known;
    const key = memoryKey(token);
    const running = this.loading.get(key);
    if (running) return running;
    const load = this.load(token, key).finally(() => this.loading.delete(key));
    this.loading.set(key, load);
    return load;
  }

  private async load(token: string, key: string): Promise<Principal | null> {
    const changesBefore = this.changes;
    const found = await this.tokens.principal(token);
    const nowMs = this.clock.nowMs();
    const endMs = found?.expiresAt?.getTime() ?? Number.POSITIVE_INFINITY;
    const principal = found && endMs > nowMs ? found.principal : null;
    if (changesBefore === this.changes) {
      if (this.entries.size >= ENTRIES_MAX) this.entries.clear();
      const expiresAtMs = Math.min(nowMs + TTL_MS, principal ? endMs : nowMs + TTL_MS);
      this.entries.set(key, { principal, expiresAtMs });
      this.last = NOBODY;
    }
    return principal;
  }
}
