import 'reflect-metadata';
import { join } from 'node:path';
import type { INestApplicationContext } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import type * as BillingServices from '@io/billing';
import { build, entryOf } from '../../scripts/build.mjs';
import { applyMigrations } from '../../scripts/migrate.mjs';
import { environment } from './usage.js';

/** The built billing, at work. */
export interface Billing {
  readonly app: INestApplicationContext;
  /** What `app` has, by the classes that were built. */
  readonly services: typeof BillingServices;
}

/** The built billing in this process, on a database that is migrated. */
export async function startBilling(
  connectionString: string,
  settings: Readonly<Record<string, string>> = {},
): Promise<Billing> {
  await build();
  await applyMigrations({ connectionString });
  Object.assign(process.env, environment(connectionString), settings);
  const libs = join(entryOf('worker'), '../../../../libs');
  const services: typeof BillingServices = await import(join(libs, 'billing/src/io/index.js'));
  const { PlatformModule } = await import(join(libs, 'platform/src/io/index.js'));
  class Bench {}
  const app = await NestFactory.createApplicationContext(
    { module: Bench, imports: [PlatformModule, services.BillingModule] },
    { logger: false },
  );
  return { app, services };
}
