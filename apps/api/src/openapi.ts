import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { DocumentBuilder, SwaggerModule, type OpenAPIObject } from '@nestjs/swagger';

/** The paths of routes that stand beside Nest, for the document. */
export type HotPaths = OpenAPIObject['paths'];

/**
 * Serves the OpenAPI 3.1 document of all routes at /openapi.json, and rendered at /docs. It is made when it is first asked
 * for: that takes as long as the tenth of a start.
 */
export function serveOpenApi(app: NestFastifyApplication, hotPaths: HotPaths): void {
  const description =
    'API keys, usage plans, throttle and quota decisions, metering and billing for any gateway. Errors are problems of RFC 9457; times are ISO 8601 in UTC; decimals and money are strings; unknown fields are refused.';
  const builder = new DocumentBuilder()
    .setTitle('Tollgate')
    .setVersion('1')
    .setDescription(description)
    .setOpenAPIVersion('3.1.0')
    .addBearerAuth()
    .build();
  const makeDocument = () => {
    const document = SwaggerModule.createDocument(app, builder, {
      operationIdFactory: (controller, method) =>
        `${controller.replace(/Controller$/, '')}.${method}`,
    });
    document.paths = { ...document.paths, ...hotPaths };
    nullableAsType(document);
    return document;
  };
  SwaggerModule.setup('docs', app, makeDocument, { jsonDocumentUrl: 'openapi.json' });
}

/** OpenAPI 3.1 says null by its type; `nullable` is of 3.0, where an enum needs no null of its own. */
function nullableAsType(node: unknown): void {
  if (Array.isArray(node)) {
    for (const item of node) nullableAsType(item);
    return;
  }
  if (typeof node !== 'object' || node === null) return;
  const schema = node as Record<string, unknown>;
  if (schema['nullable'] === true) {
    delete schema['nullable'];
    const { allOf, enum: values } = schema;
    if (Array.isArray(allOf)) {
      delete schema['allOf'];
      schema['anyOf'] = [...(allOf as unknown[]), { type: 'null' }];
    } else if (typeof schema['type'] === 'string') {
      schema['type'] = [schema['type'], 'null'];
      if (Array.isArray(values)) schema['enum'] = [...(values as unknown[]), null];
    }
  }
  for (const member of Object.values(schema)) nullableAsType(member);
}
