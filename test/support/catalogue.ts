import { randomBytes } from 'node:crypto';
import { newApiKeyValue } from '@core/kernel';
import { prefixedId, shortId } from '@core/kernel';
import { Database, Keyring } from '@io/platform';
import type { TestApi } from './api.js';

/** What a test says about its catalogue; the rest is valid and unlimited. */
export interface CatalogueOptions {
  readonly throttle?: { readonly rateLimit: number; readonly burstLimit: number };
  readonly quota?: {
    readonly limit: number;
    readonly period: 'DAY' | 'WEEK' | 'MONTH';
    readonly offset?: number;
  };
  readonly methods?: readonly (readonly [httpMethod: string, resourcePath: string])[];
  readonly onFailure?: 'deny' | 'allow';
  readonly shadow?: boolean;
  readonly enabled?: boolean;
  readonly expiresAt?: Date;
  readonly ipPolicy?: { readonly allow?: string[]; readonly deny?: string[] };
  /** Of the api. */
  readonly apiIpPolicy?: { readonly allow?: string[]; readonly deny?: string[] };
  readonly ambiguousPath?: 'refuse' | 'strictest' | 'normalise';
}

/** One customer with one key in one plan of the stage `prod` of one api. */
export interface Catalogue {
  readonly accountId: string;
  readonly customerId: string;
  readonly apiId: string;
  readonly stage: 'prod';
  readonly usagePlanId: string;
  readonly keyId: string;
  readonly apiKey: string;
}

/** Puts a small catalogue into the default account, straight into the tables: for tests of what stands on it. */
export async function aCatalogue(
  { app }: TestApi,
  options: CatalogueOptions = {},
): Promise<Catalogue> {
  const db = app.get(Database);
  const keyring = app.get(Keyring);
  const account = await db.account.findFirstOrThrow({ where: { isDefault: true } });
  const accountId = account.id;
  const ids = {
    customerId: prefixedId('cus', randomBytes),
    apiId: shortId(10, randomBytes),
    usagePlanId: shortId(6, randomBytes),
    keyId: shortId(10, randomBytes),
  };
  const { customerId, apiId, usagePlanId, keyId } = ids;
  const apiKey = newApiKeyValue('test', randomBytes);
  await db.customer.create({ data: { id: customerId, accountId, name: 'Acme' } });
  await db.api.create({
    data: {
      id: apiId,
      accountId,
      name: 'Petstore',
      ambiguousPath: options.ambiguousPath ?? 'refuse',
      ...(options.apiIpPolicy && { ipPolicy: options.apiIpPolicy }),
    },
  });
  const methods = options.methods ?? [
    ['GET', '/pets/{petId}'],
    ['GET', '/pets'],
    ['POST', '/pets'],
  ];
  await db.method.createMany({
    data: methods.map(([httpMethod, resourcePath]) => ({
      accountId,
      apiId,
      httpMethod,
      resourcePath,
    })),
  });
  await db.stage.create({ data: { accountId, apiId, name: 'prod' } });
  const { throttle, quota } = options;
  await db.usagePlan.create({
    data: {
      id: usagePlanId,
      accountId,
      name: 'basic',
      ...throttle,
      ...(quota && {
        quotaLimit: BigInt(quota.limit),
        quotaPeriod: quota.period,
        quotaOffset: quota.offset ?? 0,
      }),
      onFailure: options.onFailure ?? 'deny',
      shadow: options.shadow ?? false,
    },
  });
  await db.usagePlanStage.create({ data: { accountId, usagePlanId, apiId, stage: 'prod' } });
  await db.apiKey.create({
    data: {
      id: keyId,
      accountId,
      customerId,
      enabled: options.enabled ?? true,
      expiresAt: options.expiresAt ?? null,
      ...(options.ipPolicy && { ipPolicy: options.ipPolicy }),
      hash: Uint8Array.from(keyring.hash('key-pepper', apiKey)),
      pepperId: keyring.currentId,
      lastFour: apiKey.slice(-4),
    },
  });
  await db.usagePlanKey.create({ data: { accountId, usagePlanId, keyId } });
  return { accountId, ...ids, stage: 'prod', apiKey };
}
