import { randomBytes } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import { prefixedId } from '@core/kernel';
import type { Scope } from '@core/identity';
import { eventBody, TooManyWebhookEndpoints, WebhookEndpointDisabled } from '@core/notifications';
import {
  appendAudit,
  checkVersion,
  Database,
  Keyring,
  nextVersion,
  NotFound,
  pageArguments,
  type IfMatch,
  type PageRequest,
  type Prisma,
} from '@io/platform';
import { newWebhookSecret } from './webhook-signature.js';

/** An endpoint as it is shown. */
export interface WebhookEndpointView {
  readonly id: string;
  readonly url: string;
  readonly description: string | null;
  /** Empty: every type. */
  readonly eventTypes: readonly string[];
  readonly disabledAt: Date | null;
  readonly disabledReason: string | null;
  readonly failingSince: Date | null;
  readonly createdAt: Date;
  readonly updatedAt: Date;
}

/** An endpoint with the secret that its deliveries are signed with from now on; shown once. */
export type NewWebhookEndpoint = WebhookEndpointView & { readonly secret: string };

/** What may be said of an endpoint. */
export interface WebhookEndpointSettings {
  readonly url: string;
  readonly description?: string | null;
  readonly eventTypes?: readonly string[];
}

const VIEW = {
  id: true,
  url: true,
  description: true,
  eventTypes: true,
  disabledAt: true,
  disabledReason: true,
  failingSince: true,
  createdAt: true,
  updatedAt: true,
} as const;

const ENDPOINTS_MAX = 50;

/** Endpoints and their secrets. */
@Injectable()
export class WebhookEndpointsRepository {
  constructor(
    private readonly db: Database,
    private readonly keyring: Keyring,
  ) {}

  async create(
    scope: Scope,
    { eventTypes = [], ...settings }: WebhookEndpointSettings,
    now: Date,
  ): Promise<NewWebhookEndpoint> {
    const { accountId } = scope;
    const id = prefixedId('whe', randomBytes);
    const { value, row } = this.newSecret(accountId, id, now);
    return this.db.$transaction(async (tx) => {
      // Holds back others that count at the same time.
      await tx.$queryRaw`SELECT FROM account WHERE id = ${accountId} FOR NO KEY UPDATE`;
      const count = await tx.webhookEndpoint.count({ where: { accountId } });
      if (count >= ENDPOINTS_MAX) throw new TooManyWebhookEndpoints(ENDPOINTS_MAX);
      const after = await tx.webhookEndpoint.create({
        data: { ...settings, id, accountId, eventTypes: [...eventTypes] },
        select: VIEW,
      });
      await tx.webhookSecret.create({ data: row });
      await appendAudit(tx, { ...scope, action: 'create-webhook-endpoint', subject: id, after });
      return { ...after, secret: value };
    });
  }

  find({ accountId }: Scope, id: string): Promise<WebhookEndpointView | null> {
    return this.db.webhookEndpoint.findUnique({
      where: { accountId_id: { accountId, id } },
      select: VIEW,
    });
  }

  list({ accountId }: Scope, request: PageRequest): Promise<WebhookEndpointView[]> {
    const { where, ...page } = pageArguments(request);
    return this.db.webhookEndpoint.findMany({
      where: { accountId, ...where },
      ...page,
      select: VIEW,
    });
  }

  /** Enabling starts anew: what waited is sent, and the days of failure are forgotten. */
  update(
    scope: Scope,
    id: string,
    {
      isDisabled,
      eventTypes,
      ...change
    }: Partial<WebhookEndpointSettings> & { readonly isDisabled?: boolean },
    { ifMatch, now }: { ifMatch: IfMatch; now: Date },
  ): Promise<WebhookEndpointView> {
    return this.db.$transaction(async (tx) => {
      const before = await lockEndpoint(tx, scope, id);
      checkVersion(ifMatch, before);
      const disabling =
        isDisabled === true && before.disabledAt === null
          ? { disabledAt: now, disabledReason: 'by-hand' }
          : {};
      const enabling =
        isDisabled === false ? { disabledAt: null, disabledReason: null, failingSince: null } : {};
      const after = await tx.webhookEndpoint.update({
        where: { accountId_id: { accountId: scope.accountId, id } },
        data: {
          ...change,
          ...(eventTypes === undefined ? {} : { eventTypes: [...eventTypes] }),
          ...disabling,
          ...enabling,
          updatedAt: nextVersion(before, now),
        },
        select: VIEW,
      });
      await appendAudit(tx, {
        ...scope,
        action: 'update-webhook-endpoint',
        subject: id,
        before,
        after,
      });
      return after;
    });
  }

  /** With its secrets, deliveries and attempts. */
  delete(scope: Scope, id: string): Promise<void> {
    return this.db.$transaction(async (tx) => {
      const before = await lockEndpoint(tx, scope, id);
      await tx.webhookEndpoint.deleteMany({ where: { accountId: scope.accountId, id } });
      await appendAudit(tx, { ...scope, action: 'delete-webhook-endpoint', subject: id, before });
    });
  }

  /** Gives a new secret; those before it sign beside it until `overlapTo`. */
  rotateSecret(
    scope: Scope,
    id: string,
    { now, overlapTo }: { now: Date; overlapTo: Date },
  ): Promise<{ secret: string; oldSecretsExpireAt: Date }> {
    const { accountId } = scope;
    const { value, row } = this.newSecret(accountId, id, now);
    return this.db.$transaction(async (tx) => {
      await lockEndpoint(tx, scope, id);
      await tx.webhookSecret.deleteMany({
        where: { accountId, endpointId: id, expiresAt: { lte: now } },
      });
      await tx.webhookSecret.updateMany({
        where: {
          accountId,
          endpointId: id,
          OR: [{ expiresAt: null }, { expiresAt: { gt: overlapTo } }],
        },
        data: { expiresAt: overlapTo },
      });
      await tx.webhookSecret.create({ data: row });
      await appendAudit(tx, {
        ...scope,
        action: 'rotate-webhook-secret',
        subject: id,
        after: { secretId: row.id, oldSecretsExpireAt: overlapTo },
      });
      return { secret: value, oldSecretsExpireAt: overlapTo };
    });
  }

  /** Makes an event that only this endpoint is told, whatever types it wants, and returns its id. */
  test(scope: Scope, id: string, now: Date): Promise<{ eventId: string }> {
    const { accountId } = scope;
    const eventId = prefixedId('evt', randomBytes);
    const type = 'webhook-endpoint.test';
    const event = {
      accountId,
      type,
      subjectId: eventId,
      at: now,
      data: { endpointId: id },
    } as const;
    return this.db.$transaction(async (tx) => {
      const { disabledAt } = await lockEndpoint(tx, scope, id);
      if (disabledAt) throw new WebhookEndpointDisabled(id);
      await tx.webhookEvent.create({
        data: {
          id: eventId,
          accountId,
          type,
          subjectId: eventId,
          body: eventBody(eventId, event),
          createdAt: now,
        },
      });
      await tx.webhookDelivery.create({
        data: { accountId, endpointId: id, eventId, nextAttemptAt: now, createdAt: now },
      });
      await appendAudit(tx, {
        ...scope,
        action: 'test-webhook-endpoint',
        subject: id,
        after: { eventId },
      });
      return { eventId };
    });
  }

  /** What endpoints sign with at an instant, by endpoint, the newest first. */
  async secrets(
    endpointIds: readonly string[],
    now: Date,
  ): Promise<ReadonlyMap<string, readonly string[]>> {
    const rows = await this.db.webhookSecret.findMany({
      where: {
        endpointId: { in: [...endpointIds] },
        OR: [{ expiresAt: null }, { expiresAt: { gt: now } }],
      },
      orderBy: [{ createdAt: 'desc' }, { id: 'desc' }],
    });
    const byEndpoint = new Map<string, string[]>();
    for (const { id, accountId, endpointId, sealed } of rows) {
      const values = byEndpoint.get(endpointId) ?? [];
      values.push(this.keyring.open(sealed, secretPlace(accountId, id)));
      byEndpoint.set(endpointId, values);
    }
    return byEndpoint;
  }

  private newSecret(accountId: string, endpointId: string, createdAt: Date) {
    const value = newWebhookSecret();
    const id = prefixedId('whs', randomBytes);
    const sealed = this.keyring.seal(value, secretPlace(accountId, id));
    return { value, row: { id, accountId, endpointId, sealed, createdAt } };
  }
}

const secretPlace = (accountId: string, rowId: string) => ({
  table: 'webhook_secret',
  column: 'sealed',
  accountId,
  rowId,
});

/** The endpoint, held until the transaction ends. Throws when it is not there. */
async function lockEndpoint(
  tx: Prisma.TransactionClient,
  { accountId }: Scope,
  id: string,
): Promise<WebhookEndpointView> {
  await tx.$queryRaw`
    SELECT FROM webhook_endpoint WHERE account_id = ${accountId} AND id = ${id} FOR NO KEY UPDATE`;
  const row = await tx.webhookEndpoint.findUnique({
    where: { accountId_id: { accountId, id } },
    select: VIEW,
  });
  if (!row) throw new NotFound('webhook endpoint', id);
  return row;
}
