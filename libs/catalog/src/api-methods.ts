import { InvalidApiDocument, type DocumentFault } from './errors.js';
import {
  childPointer,
  isJsonObject,
  member,
  resolveLocalRef,
  type Json,
  type JsonObject,
} from './json-pointer.js';
import { resourcePath } from './resource-path.js';

/** The verbs a method can have; `ANY` stands for each that has no method of its own. */
export const HTTP_METHODS = [
  'GET',
  'PUT',
  'POST',
  'DELETE',
  'PATCH',
  'OPTIONS',
  'HEAD',
  'ANY',
] as const;

/** One of the verbs that Amazon API Gateway knows. */
export type HttpMethod = (typeof HTTP_METHODS)[number];

/** One method of an api, as a document describes it. */
export interface ApiMethod {
  readonly method: HttpMethod;
  /** The template in canonical form: `/pets/{petId}`. Without the base path. */
  readonly resourcePath: string;
  readonly operationId?: string;
  readonly summary?: string;
  /** Every alternative of the operation's security asks for something, and one asks for an API key. */
  readonly apiKeyRequired: boolean;
}

/** What the catalogue takes from an API document. */
export interface ApiDescription {
  readonly title: string;
  /** The author's version of the api, not that of OpenAPI. */
  readonly version: string;
  readonly description: string | null;
  /** `HTTP` when the document is an export of an Amazon HTTP API, else `REST`. */
  readonly protocolHint: 'REST' | 'HTTP';
  /** The path that precedes every resource path at the backend: Swagger's `basePath`, or the first server's path. */
  readonly basePath: string;
  /** In the order of the document. */
  readonly methods: readonly ApiMethod[];
}

/** The most methods one api can have: Amazon's 300 resources with some verbs each. */
export const METHODS_MAX = 1_000;

const FIELD_OF: ReadonlyMap<string, HttpMethod> = new Map(
  HTTP_METHODS.map((method) => [
    method === 'ANY' ? 'x-amazon-apigateway-any-method' : method.toLowerCase(),
    method,
  ]),
);

/**
 * The methods that a valid document describes. References are followed inside the document only.
 *
 * Refused with their places: templates that answer the same requests, templates that cannot be matched, `trace`
 * operations, references that end nowhere, and more than `METHODS_MAX` methods.
 */
export function extractMethods(document: JsonObject): ApiDescription {
  const faults: DocumentFault[] = [];
  const methods: ApiMethod[] = [];
  const templateOf = new Map<string, string>();

  for (const [template, item] of Object.entries(objectAt(document, 'paths'))) {
    if (template.startsWith('x-')) continue;
    const pointer = childPointer('/paths', template);
    const resource = resourcePath(template);
    if ('fault' in resource) {
      faults.push({ pointer, detail: resource.fault });
      continue;
    }
    const other = templateOf.get(resource.shape);
    if (other !== undefined) {
      faults.push({ pointer, detail: `answers the same requests as "${other}"` });
      continue;
    }
    templateOf.set(resource.shape, template);

    const layers = pathItemLayers(document, item);
    if (!layers) {
      faults.push({ pointer: `${pointer}/$ref`, detail: 'must lead to a path item' });
      continue;
    }
    if (layers.some((layer) => Object.hasOwn(layer, 'trace'))) {
      faults.push({ pointer: `${pointer}/trace`, detail: 'cannot be offered: TRACE is refused' });
    }
    for (const [field, method] of FIELD_OF) {
      const operation = layers.map((layer) => member(layer, field)).find(isJsonObject);
      if (!operation) continue;
      const operationId = text(member(operation, 'operationId'));
      const summary = text(member(operation, 'summary'));
      methods.push({
        method,
        resourcePath: resource.path,
        ...(operationId === undefined ? {} : { operationId }),
        ...(summary === undefined ? {} : { summary }),
        apiKeyRequired: isApiKeyRequired(document, operation),
      });
    }
  }

  if (methods.length > METHODS_MAX) {
    const detail = `describes ${methods.length} methods; an api has at most ${METHODS_MAX}`;
    faults.push({ pointer: '/paths', detail });
  }
  if (faults.length > 0) throw new InvalidApiDocument(faults);

  const info = member(document, 'info');
  return {
    title: text(member(info, 'title')) ?? '',
    version: text(member(info, 'version')) ?? '',
    description: text(member(info, 'description')) ?? null,
    protocolHint: Object.hasOwn(document, 'x-amazon-apigateway-importexport-version')
      ? 'HTTP'
      : 'REST',
    basePath: basePath(document),
    methods,
  };
}

/** A path item and what it refers to, nearest first; `undefined` when a reference ends nowhere or in a circle. */
function pathItemLayers(document: JsonObject, item: Json): JsonObject[] | undefined {
  const layers: JsonObject[] = [];
  const seen = new Set<string>();
  let place: Json | undefined = item;
  for (;;) {
    if (!isJsonObject(place)) return undefined;
    layers.push(place);
    const ref = text(member(place, '$ref'));
    if (ref === undefined) return layers;
    if (seen.has(ref)) return undefined;
    seen.add(ref);
    place = resolveLocalRef(document, ref);
  }
}

/**
 * Amazon's reading of `security`: a list that names the key asks for it. The operation's own list replaces the
 * document's; an empty alternative (`{}`) lets calls pass without any.
 */
function isApiKeyRequired(document: JsonObject, operation: JsonObject): boolean {
  const security = member(operation, 'security') ?? member(document, 'security');
  if (!Array.isArray(security)) return false;
  const alternatives = security.filter(isJsonObject).map((alternative) => Object.keys(alternative));
  return (
    alternatives.every((names) => names.length > 0) &&
    alternatives.some((names) => names.some((name) => isApiKeyScheme(document, name)))
  );
}

/** Many documents call a bearer token in `Authorization` an "apiKey"; that, a cookie or an authorizer is none. */
function isApiKeyScheme(document: JsonObject, name: string): boolean {
  const schemes =
    member(document, 'securityDefinitions') ??
    member(member(document, 'components'), 'securitySchemes');
  let scheme = member(schemes, name);
  const ref = text(member(scheme, '$ref'));
  if (ref !== undefined) scheme = resolveLocalRef(document, ref);
  return (
    member(scheme, 'type') === 'apiKey' &&
    member(scheme, 'in') !== 'cookie' &&
    text(member(scheme, 'name'))?.toLowerCase() !== 'authorization' &&
    member(scheme, 'x-amazon-apigateway-authtype') === undefined
  );
}

/** Without a trailing slash, empty when there is none. Variables of a server stand at their defaults. */
function basePath(document: JsonObject): string {
  const declared = text(member(document, 'basePath')) ?? firstServerPath(document);
  const path = declared.replace(/\/+$/, '');
  return path === '' || path.startsWith('/') ? path : `/${path}`;
}

function firstServerPath(document: JsonObject): string {
  const server = member(member(document, 'servers'), '0');
  const url = (text(member(server, 'url')) ?? '').replaceAll(
    /\{([^{}]*)\}/g,
    (variable, name: string) =>
      text(member(member(member(server, 'variables'), name), 'default')) ?? variable,
  );
  const [path = ''] = url.replace(/^[A-Za-z][A-Za-z0-9+.-]*:/, '').split(/[?#]/);
  return path.startsWith('//') ? path.slice(2).replace(/^[^/]*/, '') : path;
}

function objectAt(document: JsonObject, key: string): JsonObject {
  const value = member(document, key);
  return isJsonObject(value) ? value : {};
}

function text(value: Json | undefined): string | undefined {
  return typeof value === 'string' ? value : undefined;
}
