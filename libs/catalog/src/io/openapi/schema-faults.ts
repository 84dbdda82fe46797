import type { ErrorObject } from 'ajv';
import type { DocumentFault } from '../../errors.js';
import { childPointer } from '../../json-pointer.js';

/** Keywords that only say that something below them failed. */
const WRAPPERS = new Set(['oneOf', 'anyOf', 'allOf', 'if', 'not', 'propertyNames', '$ref']);

/**
 * Turns the errors of a JSON Schema validator into faults that a person can act on.
 *
 * The OpenAPI schemas offer "this, or a reference to it" nearly everywhere, so one mistake fails several branches.
 * Kept are the errors that lie deepest, without those that merely miss a `$ref`.
 */
export function schemaFaults(errors: readonly ErrorObject[]): DocumentFault[] {
  const told = errors.filter((error) => !isMissingRef(error) && !WRAPPERS.has(error.keyword));
  const kept = told.length > 0 ? told : errors;
  const faults = new Map<string, DocumentFault>();
  for (const error of kept) {
    const fault = schemaFault(error);
    faults.set(`${fault.pointer} ${fault.detail}`, fault);
  }
  return withoutEchoes([...faults.values()]);
}

/** A branch that wanted a reference complains about every other field of what is none. */
function isMissingRef({ keyword, params, schemaPath }: ErrorObject): boolean {
  return (
    (keyword === 'required' && params['missingProperty'] === '$ref') ||
    /\/(?:Reference|JsonReference|jsonReference|reference)\//.test(schemaPath)
  );
}

function schemaFault({ keyword, instancePath, params, message }: ErrorObject): DocumentFault {
  const at = (key: unknown) => childPointer(instancePath, String(key));
  switch (keyword) {
    case 'required':
    case 'dependentRequired':
      return { pointer: at(params['missingProperty']), detail: 'is missing' };
    case 'additionalProperties':
      return {
        pointer: at(params['additionalProperty']),
        detail: 'is not a field that may stand here',
      };
    case 'unevaluatedProperties':
      return {
        pointer: at(params['unevaluatedProperty']),
        detail: 'is not a field that may stand here',
      };
    case 'type':
      return { pointer: instancePath, detail: `must be ${typeName(params['type'])}` };
    case 'enum':
      return { pointer: instancePath, detail: `must be one of ${list(params['allowedValues'])}` };
    case 'const':
      return { pointer: instancePath, detail: `must be ${JSON.stringify(params['allowedValue'])}` };
    case 'format':
      return {
        pointer: instancePath,
        detail: `must have the form of a ${String(params['format'])}`,
      };
    case 'pattern':
      return { pointer: instancePath, detail: `must match ${String(params['pattern'])}` };
    case 'minProperties':
    case 'minItems':
    case 'minLength':
      return { pointer: instancePath, detail: 'must not be empty' };
    case 'uniqueItems':
      return { pointer: instancePath, detail: 'must not hold the same item twice' };
    case 'oneOf':
    case 'anyOf':
      return { pointer: instancePath, detail: 'is none of the things that may stand here' };
    default:
      return { pointer: instancePath, detail: message ?? 'is not valid' };
  }
}

/** Of several faults at one place, the unknown fields say least when something is missing or mistyped there too. */
function withoutEchoes(faults: readonly DocumentFault[]): DocumentFault[] {
  const deeper = (fault: DocumentFault) =>
    faults.some((other) => other !== fault && other.pointer.startsWith(`${fault.pointer}/`));
  const unknown = (fault: DocumentFault) => fault.detail === 'is not a field that may stand here';
  const kept = faults.filter((fault) => !(unknown(fault) && deeper(fault)));
  return kept.length > 0 ? kept : [...faults];
}

function typeName(type: unknown): string {
  if (Array.isArray(type)) return type.map(typeName).join(' or ');
  const article = type === 'object' || type === 'array' || type === 'integer' ? 'an' : 'a';
  return type === 'null' ? 'null' : `${article} ${String(type)}`;
}

function list(values: unknown): string {
  return Array.isArray(values) ? values.map((value) => JSON.stringify(value)).join(', ') : '';
}
