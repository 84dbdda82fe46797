import { Injectable } from '@nestjs/common';
import { hasValidChecksum, looksLikeTollgateKey } from '@core/kernel';
import type { Scope } from '@core/identity';
import {
  BusinessClock,
  InvalidRequest,
  NotFound,
  Pages,
  SystemClock,
  type Given,
  type IfMatch,
  type Page,
  type PageQuery,
} from '@io/platform';
import { checkIpPolicy } from './ip-lists.js';
import { ApiKeysRepository, type ApiKeySettings, type ApiKeyView } from './api-keys.repository.js';

/** A new key; `value` is given when it is brought along from elsewhere. */
export interface NewApiKey extends Partial<ApiKeySettings> {
  readonly customerId: string;
  readonly value?: string;
}

/** Another value for a key; `value` is given when it is brought along from elsewhere. */
export interface KeyRotation {
  readonly overlapSeconds: number;
  readonly value?: string;
}

/** API keys: who calls. */
@Injectable()
export class ApiKeysService {
  constructor(
    private readonly keys: ApiKeysRepository,
    private readonly pages: Pages,
    private readonly business: BusinessClock,
    private readonly system: SystemClock,
  ) {}

  /** Makes a key; its value is answered here and, where the account keeps none, nowhere else. */
  async create(
    scope: Scope,
    { value, ...key }: Given<NewApiKey>,
  ): Promise<ApiKeyView & { readonly value: string }> {
    checkValue(value);
    await this.check(scope, key);
    const defaults = {
      name: null,
      description: null,
      enabled: true,
      expiresAt: null,
      ipPolicy: null,
    };
    return this.keys.create(scope, { ...defaults, ...key }, value ?? null);
  }

  async get(scope: Scope, id: string): Promise<ApiKeyView> {
    const key = await this.keys.find(scope, id);
    if (!key) throw new NotFound('api key', id);
    return key;
  }

  /** A key with its value, which is null where none was kept. */
  async getWithValue(
    scope: Scope,
    id: string,
  ): Promise<ApiKeyView & { readonly value: string | null }> {
    return { ...(await this.get(scope, id)), value: await this.keys.value(scope, id) };
  }

  async list(
    scope: Scope,
    query: PageQuery & { readonly customerId?: string; readonly name?: string },
  ): Promise<Page<ApiKeyView>> {
    const { customerId, name } = query;
    const own = scope.customerId ?? '';
    const list = JSON.stringify([scope.accountId, 'api-keys', own, customerId ?? '', name ?? '']);
    const request = this.pages.request(query, list);
    const filter = {
      ...(customerId === undefined ? {} : { customerId }),
      ...(name === undefined ? {} : { namePrefix: name }),
    };
    return this.pages.page(await this.keys.list(scope, filter, request), request, list);
  }

  async update(
    scope: Scope,
    id: string,
    change: Given<Partial<ApiKeySettings>>,
    ifMatch: IfMatch,
  ): Promise<ApiKeyView> {
    await this.check(scope, change);
    return this.keys.update(scope, id, change, { ifMatch, now: this.system.now() });
  }

  /**
   * Gives a key another value, made here unless one is brought along; those before pass for `overlapSeconds` more, by
   * the account's own clock.
   */
  async rotate(
    scope: Scope,
    id: string,
    { value, overlapSeconds }: Given<KeyRotation>,
  ): Promise<ApiKeyView & { readonly value: string; readonly previousExpiresAt: Date }> {
    checkValue(value);
    const at = await this.business.now(scope.accountId);
    const until = new Date(at.getTime() + overlapSeconds * 1_000);
    const rotated = await this.keys.rotate(scope, id, {
      givenValue: value ?? null,
      until,
      now: this.system.now(),
    });
    return { ...rotated, previousExpiresAt: until };
  }

  delete(scope: Scope, id: string): Promise<void> {
    return this.keys.delete(scope, id, this.system.now());
  }

  /** The account's own time decides: a key of a test account that plays next month must not be expired at birth. */
  private async check(
    { accountId }: Scope,
    { expiresAt, ipPolicy }: Partial<ApiKeySettings>,
  ): Promise<void> {
    if (ipPolicy) checkIpPolicy(ipPolicy);
    if (expiresAt && expiresAt <= (await this.business.now(accountId))) {
      throw new InvalidRequest([{ pointer: '/expiresAt', detail: 'must be in the future' }]);
    }
  }
}

/** What has the form of a key of this service was made by one, or mistyped. */
function checkValue(value: string | undefined): void {
  if (value === undefined || !looksLikeTollgateKey(value) || hasValidChecksum(value)) return;
  const detail = 'has the form of a key of this service, but its checksum does not fit';
  throw new InvalidRequest([{ pointer: '/value', detail }]);
}
