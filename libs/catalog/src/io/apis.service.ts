import { Injectable } from '@nestjs/common';
import type { Scope } from '@core/identity';
import type { IpLists } from '@core/limits';
import {
  InvalidRequest,
  NotFound,
  Pages,
  SystemClock,
  type Given,
  type IfMatch,
  type Page,
  type PageQuery,
} from '@io/platform';
import type { ApiDescription } from '../api-methods.js';
import {
  ApisRepository,
  type ApiContents,
  type ApiSettings,
  type ApiView,
  type MethodRow,
  type MethodsChange,
} from './apis.repository.js';
import { checkIpPolicy } from './ip-lists.js';
import { parseApiDocument } from './openapi/parse-api-document.js';

/** A new api; what is left out comes from its document. */
export interface NewApi {
  readonly name?: string;
  readonly description?: string | null;
  readonly protocol?: string;
  readonly ambiguousPath?: string;
  readonly ipPolicy?: IpLists | null;
  /** An OpenAPI or Swagger document as text. */
  readonly document?: string;
}

/** What came, or would come, of a new document. */
export interface ImportedDocument extends MethodsChange {
  readonly title: string;
  readonly version: string;
  /** How many methods the api has with it. */
  readonly methods: number;
}

const NAME_MAX = 256;
const TEXT_MAX = 1_024;

/** Apis and the methods that their documents describe. */
@Injectable()
export class ApisService {
  constructor(
    private readonly apis: ApisRepository,
    private readonly pages: Pages,
    private readonly clock: SystemClock,
  ) {}

  /** Makes an api, and its methods with it when a document is given; all of it or nothing. */
  async create(scope: Scope, api: Given<NewApi>): Promise<ApiView> {
    if (api.ipPolicy) checkIpPolicy(api.ipPolicy);
    const described = api.document === undefined ? null : await parseApiDocument(api.document);
    const name = api.name ?? plainText(described?.title ?? '', NAME_MAX);
    if (!name) throw new InvalidRequest([{ pointer: '/name', detail: 'is required' }]);
    return this.apis.create(
      scope,
      {
        name,
        description: api.description ?? (plainText(described?.description ?? '', TEXT_MAX) || null),
        protocol: api.protocol ?? described?.protocolHint ?? 'REST',
        ambiguousPath: api.ambiguousPath ?? 'refuse',
        ipPolicy: api.ipPolicy ?? null,
      },
      described && contentsOf(described),
    );
  }

  async get(scope: Scope, id: string): Promise<ApiView> {
    const api = await this.apis.find(scope, id);
    if (!api) throw new NotFound('api', id);
    return api;
  }

  async list(scope: Scope, query: PageQuery): Promise<Page<ApiView>> {
    const list = `${scope.accountId} apis`;
    const request = this.pages.request(query, list);
    return this.pages.page(await this.apis.list(scope, request), request, list);
  }

  async methods(scope: Scope, id: string): Promise<{ items: readonly MethodRow[] }> {
    await this.get(scope, id);
    return { items: await this.apis.methods(scope, id) };
  }

  async update(
    scope: Scope,
    id: string,
    change: Given<Partial<ApiSettings>>,
    ifMatch: IfMatch,
  ): Promise<ApiView> {
    if (change.ipPolicy) checkIpPolicy(change.ipPolicy);
    return this.apis.update(scope, id, change, { ifMatch, now: this.clock.now() });
  }

  delete(scope: Scope, id: string): Promise<void> {
    return this.apis.delete(scope, id);
  }

  /** Reads a document and makes its methods those of the api; a dry run only tells what would change. */
  async importDocument(
    scope: Scope,
    id: string,
    document: Uint8Array,
    { isDryRun }: { isDryRun: boolean },
  ): Promise<ImportedDocument> {
    await this.get(scope, id);
    const described = await parseApiDocument(document);
    const contents = contentsOf(described);
    const change = await this.apis.replaceMethods(scope, id, contents, {
      isDryRun,
      now: this.clock.now(),
    });
    return {
      title: plainText(described.title, NAME_MAX),
      version: contents.version,
      methods: contents.methods.length,
      ...change,
    };
  }
}

function contentsOf({ version, methods }: ApiDescription): ApiContents {
  return {
    version: plainText(version, NAME_MAX),
    methods: methods.map(({ method, resourcePath, operationId, summary }) => ({
      httpMethod: method,
      resourcePath,
      operationId: plainText(operationId ?? '', TEXT_MAX) || null,
      summary: plainText(summary ?? '', TEXT_MAX) || null,
    })),
  };
}

/** A text of a document as it may be kept and shown: one line, no control characters, well-formed, not too long. */
function plainText(text: string, lengthMax: number): string {
  return text
    .toWellFormed()
    .replaceAll(/\p{Cc}+/gu, ' ')
    .slice(0, lengthMax)
    .toWellFormed()
    .trim();
}
