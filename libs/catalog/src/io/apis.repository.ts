import { randomBytes } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import { shortId } from '@core/kernel';
import type { Scope } from '@core/identity';
import type { IpLists } from '@core/limits';
import {
  appendAudit,
  checkVersion,
  Database,
  NotFound,
  nextVersion,
  pageArguments,
  type IfMatch,
  type PageRequest,
  type Prisma,
} from '@io/platform';
import type { HttpMethod } from '../api-methods.js';
import { methodKey } from '../method-throttle.js';
import { ApiInUse, MethodsInUse } from './errors.js';
import { ipPolicyColumn } from './ip-lists.js';
import { lockApi } from './locks.js';

/** An api as it is shown. */
export interface ApiView {
  readonly id: string;
  readonly name: string;
  readonly description: string | null;
  readonly protocol: string;
  /** The author's, of the last document. */
  readonly version: string | null;
  readonly ambiguousPath: string;
  /** Who may call it; null for everybody. */
  readonly ipPolicy: IpLists | null;
  readonly createdAt: Date;
  readonly updatedAt: Date;
}

/** What a person decides about an api. */
export interface ApiSettings {
  readonly name: string;
  readonly description: string | null;
  readonly ambiguousPath: string;
  readonly ipPolicy: IpLists | null;
}

/** A method as it is kept. */
export interface MethodRow {
  readonly httpMethod: string;
  readonly resourcePath: string;
  readonly operationId: string | null;
  readonly summary: string | null;
}

/** What a document says of an api. */
export interface ApiContents {
  readonly version: string;
  readonly methods: readonly MethodRow[];
}

/** What a new document changes, as keys of methods. */
export interface MethodsChange {
  readonly added: readonly string[];
  readonly removed: readonly string[];
}

const VIEW = {
  id: true,
  name: true,
  description: true,
  protocol: true,
  version: true,
  ambiguousPath: true,
  ipPolicy: true,
  createdAt: true,
  updatedAt: true,
} as const;

const METHOD = { httpMethod: true, resourcePath: true, operationId: true, summary: true } as const;

/** The tables of apis and their methods. */
@Injectable()
export class ApisRepository {
  constructor(private readonly db: Database) {}

  /** Makes an api, with its methods where a document describes them. */
  create(
    scope: Scope,
    { ipPolicy, ...api }: ApiSettings & { readonly protocol: string },
    contents: ApiContents | null,
  ): Promise<ApiView> {
    const { accountId } = scope;
    return this.db.$transaction(async (tx) => {
      const created = toView(
        await tx.api.create({
          data: {
            id: shortId(10, randomBytes),
            accountId,
            ...api,
            ipPolicy: ipPolicyColumn(ipPolicy),
            version: contents?.version ?? null,
          },
          select: VIEW,
        }),
      );
      await insertMethods(tx, accountId, created.id, contents?.methods ?? []);
      await appendAudit(tx, {
        ...scope,
        action: 'create-api',
        subject: created.id,
        after: { ...created, methods: contents?.methods.map(methodKey) ?? [] },
      });
      return created;
    });
  }

  async find({ accountId }: Scope, id: string): Promise<ApiView | null> {
    const row = await this.db.api.findUnique({
      where: { accountId_id: { accountId, id } },
      select: VIEW,
    });
    return row && toView(row);
  }

  async list({ accountId }: Scope, request: PageRequest): Promise<ApiView[]> {
    const { where, ...page } = pageArguments(request);
    const rows = await this.db.api.findMany({
      where: { accountId, ...where },
      ...page,
      select: VIEW,
    });
    return rows.map(toView);
  }

  /** The methods by path, at most as many as one document may have. */
  methods({ accountId }: Scope, apiId: string): Promise<MethodRow[]> {
    return this.db.method.findMany({
      where: { accountId, apiId },
      orderBy: [{ resourcePath: 'asc' }, { httpMethod: 'asc' }],
      select: METHOD,
    });
  }

  update(
    scope: Scope,
    id: string,
    { ipPolicy, ...change }: Partial<ApiSettings>,
    { ifMatch, now }: { ifMatch: IfMatch; now: Date },
  ): Promise<ApiView> {
    const { accountId } = scope;
    return this.db.$transaction(async (tx) => {
      const row = await lockApi(tx, accountId, id);
      if (!row) throw new NotFound('api', id);
      checkVersion(ifMatch, row);
      const where = { accountId_id: { accountId, id } };
      const before = toView(await tx.api.findUniqueOrThrow({ where, select: VIEW }));
      const after = toView(
        await tx.api.update({
          where,
          data: {
            ...change,
            ...(ipPolicy === undefined ? {} : { ipPolicy: ipPolicyColumn(ipPolicy) }),
            updatedAt: nextVersion(row, now),
          },
          select: VIEW,
        }),
      );
      await appendAudit(tx, { ...scope, action: 'update-api', subject: id, before, after });
      return after;
    });
  }

  /** Deletes an api with its stages and methods; refused while a usage plan offers one of the stages. */
  delete(scope: Scope, id: string): Promise<void> {
    const { accountId } = scope;
    return this.db.$transaction(async (tx) => {
      if (!(await lockApi(tx, accountId, id))) throw new NotFound('api', id);
      await tx.$queryRaw`
        SELECT name FROM stage WHERE account_id = ${accountId} AND api_id = ${id} ORDER BY name FOR UPDATE`;
      const plans = await tx.usagePlanStage.findMany({
        where: { accountId, apiId: id },
        distinct: ['usagePlanId'],
        select: { usagePlanId: true },
        take: 10,
      });
      if (plans.length > 0) {
        throw new ApiInUse(
          id,
          plans.map((plan) => plan.usagePlanId),
        );
      }
      await tx.stage.deleteMany({ where: { accountId, apiId: id } });
      const before = toView(
        await tx.api.delete({ where: { accountId_id: { accountId, id } }, select: VIEW }),
      );
      await appendAudit(tx, { ...scope, action: 'delete-api', subject: id, before });
    });
  }

  /**
   * Makes the methods those of a new document; what stays keeps its row. Refused while a method that would vanish has
   * a throttle. A dry run tells the same and changes nothing.
   */
  replaceMethods(
    scope: Scope,
    id: string,
    contents: ApiContents,
    { isDryRun, now }: { isDryRun: boolean; now: Date },
  ): Promise<MethodsChange> {
    const { accountId } = scope;
    return this.db.$transaction(async (tx) => {
      const row = await lockApi(tx, accountId, id);
      if (!row) throw new NotFound('api', id);
      const before = await tx.method.findMany({
        where: { accountId, apiId: id },
        select: { id: true, ...METHOD },
      });
      const known = new Map(before.map((method) => [methodKey(method), method]));
      const wanted = new Set(contents.methods.map(methodKey));
      const added = contents.methods.filter((method) => !known.has(methodKey(method)));
      const removed = before.filter((method) => !wanted.has(methodKey(method)));
      await refuseThrottled(tx, accountId, id, removed);
      const change = {
        added: added.map(methodKey).sort(),
        removed: removed.map(methodKey).sort(),
      };
      if (isDryRun) return change;

      await tx.method.deleteMany({
        where: { accountId, apiId: id, id: { in: removed.map((method) => method.id) } },
      });
      const described = contents.methods.filter((method) => {
        const old = known.get(methodKey(method));
        return old && (old.operationId !== method.operationId || old.summary !== method.summary);
      });
      await describeMethods(tx, accountId, id, described);
      await insertMethods(tx, accountId, id, added);
      const { version } = contents;
      await tx.api.update({
        where: { accountId_id: { accountId, id } },
        data: { version, updatedAt: nextVersion(row, now) },
      });
      await appendAudit(tx, {
        ...scope,
        action: 'replace-api-document',
        subject: id,
        before: { methods: before.map(methodKey).sort() },
        after: { version, methods: [...wanted].sort() },
      });
      return change;
    });
  }
}

function toView({ ipPolicy, ...row }: Prisma.ApiGetPayload<{ select: typeof VIEW }>): ApiView {
  return { ...row, ipPolicy: ipPolicy as IpLists | null };
}

async function insertMethods(
  tx: Prisma.TransactionClient,
  accountId: string,
  apiId: string,
  methods: readonly MethodRow[],
): Promise<void> {
  if (methods.length === 0) return;
  await tx.method.createMany({ data: methods.map((method) => ({ ...method, accountId, apiId })) });
}

async function describeMethods(
  tx: Prisma.TransactionClient,
  accountId: string,
  apiId: string,
  methods: readonly MethodRow[],
): Promise<void> {
  if (methods.length === 0) return;
  await tx.$executeRaw`
    UPDATE method m SET operation_id = n.operation_id, summary = n.summary
    FROM unnest(
      ${methods.map((method) => method.httpMethod)}::text[],
      ${methods.map((method) => method.resourcePath)}::text[],
      ${methods.map((method) => method.operationId)}::text[],
      ${methods.map((method) => method.summary)}::text[]
    ) AS n (http_method, resource_path, operation_id, summary)
    WHERE m.account_id = ${accountId} AND m.api_id = ${apiId}
      AND m.http_method = n.http_method AND m.resource_path = n.resource_path`;
}

/** Refuses when one of the methods has a throttle, in a stage or in a usage plan. */
async function refuseThrottled(
  tx: Prisma.TransactionClient,
  accountId: string,
  apiId: string,
  methods: readonly { readonly httpMethod: string; readonly resourcePath: string }[],
): Promise<void> {
  if (methods.length === 0) return;
  const throttled = await tx.$queryRaw<{ httpMethod: HttpMethod; resourcePath: string }[]>`
    SELECT http_method AS "httpMethod", resource_path AS "resourcePath" FROM (
      SELECT http_method, resource_path FROM stage_method_throttle
      WHERE account_id = ${accountId} AND api_id = ${apiId}
      UNION
      SELECT http_method, resource_path FROM usage_plan_method_throttle
      WHERE account_id = ${accountId} AND api_id = ${apiId}
    ) t
    JOIN unnest(
      ${methods.map((method) => method.httpMethod)}::text[],
      ${methods.map((method) => method.resourcePath)}::text[]
    ) AS gone (http_method, resource_path) USING (http_method, resource_path)
    ORDER BY resource_path, http_method`;
  if (throttled.length > 0) throw new MethodsInUse(throttled.map(methodKey));
}
