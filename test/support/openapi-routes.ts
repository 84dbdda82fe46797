import type { TestApi } from './api.js';

/** A JSON schema, as far as the tests read one. */
export interface Schema {
  readonly type?: string | readonly string[];
  readonly format?: string;
  readonly enum?: readonly unknown[];
  readonly maxLength?: number;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly $ref?: string;
  readonly anyOf?: readonly Schema[];
}

/** One route of the api, as /openapi.json tells it. */
export interface Route {
  /** `GET /v1/apis/{apiId}`. */
  readonly name: string;
  readonly method: string;
  readonly path: string;
  readonly pathParameters: readonly string[];
  readonly queryParameters: readonly { readonly name: string; readonly schema: Schema }[];
  /** Of the JSON body, where the route names a class of its own for it. */
  readonly body: Schema | null;
}

interface Operation {
  readonly parameters?: readonly { name: string; in: string; schema?: Schema }[];
  readonly requestBody?: { readonly content?: Readonly<Record<string, { schema?: Schema }>> };
}

const METHODS = new Set(['get', 'post', 'put', 'patch', 'delete']);

/** Every route under /v1 that the api documents, by name. */
export async function documentedRoutes(api: TestApi): Promise<readonly Route[]> {
  const { body: document } = await api.call('GET', '/openapi.json', { token: null });
  const schemas = document['components'].schemas as Record<string, Schema>;
  const resolve = (schema?: Schema) =>
    schema?.$ref ? schemas[schema.$ref.replace('#/components/schemas/', '')] : undefined;
  const paths = document['paths'] as Record<string, Record<string, Operation>>;
  const routes = Object.entries(paths).flatMap(([path, item]) =>
    Object.entries(item)
      .filter(([method]) => METHODS.has(method))
      .map(([method, { parameters = [], requestBody }]) => ({
        name: `${method.toUpperCase()} ${path}`,
        method: method.toUpperCase(),
        path,
        pathParameters: [...path.matchAll(/\{(\w+)\}/g)].map(([, name = '']) => name),
        queryParameters: parameters
          .filter((parameter) => parameter.in === 'query')
          .map(({ name, schema = {} }) => ({ name, schema })),
        body: resolve(requestBody?.content?.['application/json']?.schema) ?? null,
      })),
  );
  return routes
    .filter(({ path }) => path.startsWith('/v1/'))
    .sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** The path with each parameter replaced. */
export function pathOf(route: Route, ids: Readonly<Record<string, string>>): string {
  return route.path.replaceAll(/\{(\w+)\}/g, (_, name: string) =>
    encodeURIComponent(ids[name] ?? 'nothing'),
  );
}
