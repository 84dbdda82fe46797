import { Validator } from '@seriousme/openapi-schema-validator';
import { extractMethods, type ApiDescription } from '../../api-methods.js';
import { InvalidApiDocument, type DocumentFault } from '../../errors.js';
import { member, type JsonObject } from '../../json-pointer.js';
import { linesOf } from './document-lines.js';
import { parseText } from './parse-text.js';
import { schemaFaults } from './schema-faults.js';
import { structureFaults } from './structure-faults.js';

/** An API document that can be imported. */
export interface ParsedApi extends ApiDescription {
  readonly format: ApiDocumentFormat;
  /** The document itself, as JSON. Holds no reference that leaves it. */
  readonly document: JsonObject;
}

/** The specifications that are understood. */
export type ApiDocumentFormat = 'swagger-2.0' | 'openapi-3.0' | 'openapi-3.1';

/** Reads, judges and describes one document. Trusts nothing, but must run where a deadline and a heap limit hold. */
export async function readApiDocument(text: string): Promise<ParsedApi> {
  const document = parseText(text);
  try {
    // Each step stands on the one before it: recursion only after the depth is known.
    refuse(structureFaults(document));
    const format = documentFormat(document);
    refuse(await faultsAgainstSchema(document));
    return { format, document, ...extractMethods(document) };
  } catch (error) {
    if (!(error instanceof InvalidApiDocument)) throw error;
    const { errors, faultCount } = error.facts;
    throw new InvalidApiDocument(linesOf(text, errors), faultCount);
  }
}

function refuse(faults: readonly DocumentFault[]): void {
  if (faults.length > 0) throw new InvalidApiDocument(faults);
}

function documentFormat(document: JsonObject): ApiDocumentFormat {
  const swagger = member(document, 'swagger');
  const openapi = member(document, 'openapi');
  if (swagger === '2.0') return 'swagger-2.0';
  if (typeof openapi === 'string') {
    if (/^3\.0\.\d+(-.+)?$/.test(openapi)) return 'openapi-3.0';
    if (/^3\.1\.\d+(-.+)?$/.test(openapi)) return 'openapi-3.1';
  }
  const field = openapi !== undefined ? 'openapi' : swagger !== undefined ? 'swagger' : undefined;
  if (field === undefined) {
    const detail =
      'must say what it is: "openapi": "3.0.x", "openapi": "3.1.x" or "swagger": "2.0"';
    throw new InvalidApiDocument([{ pointer: '', detail }]);
  }
  const versions = field === 'swagger' ? 'the text "2.0"' : 'the text "3.0.x" or "3.1.x"';
  const quotes = typeof (openapi ?? swagger) === 'number' ? ' in quotes' : '';
  throw new InvalidApiDocument([{ pointer: `/${field}`, detail: `must be ${versions}${quotes}` }]);
}

/** Compiles the schema of a version at its first use. Given an object, it reads no file and fetches nothing. */
const validator = new Validator({ allErrors: true, verbose: true });

/**
 * The library's own check of references says less than ours, knows no place, and trips over properties that are named
 * `$ref` or `$id`; what it says in a text is therefore left aside.
 */
async function faultsAgainstSchema(document: JsonObject): Promise<DocumentFault[]> {
  const { errors } = await validator.validate(document);
  return Array.isArray(errors) ? schemaFaults(errors) : [];
}
