import type { ErrorObject } from 'ajv';
import type { DocumentFault } from '../../errors.js';
import { childPointer, isJsonObject, member } from '../../json-pointer.js';

/** Keywords that only say that something below them failed. */
const WRAPPERS = new Set(['oneOf', 'anyOf', 'allOf', 'if', 'not', 'propertyNames', '$ref']);

/** The fields' values that tell alternatives apart: where a parameter is, what a security scheme is, how it flows. */
const ALTERNATIVES: readonly ReadonlySet<unknown>[] = [
  new Set(['path', 'query', 'header', 'cookie']),
  new Set(['path', 'query', 'header', 'formData', 'body']),
  new Set(['apiKey', 'http', 'oauth2', 'openIdConnect']),
  new Set(['apiKey', 'basic', 'oauth2']),
  new Set(['implicit', 'password', 'application', 'accessCode']),
];

/**
 * Turns the errors of a JSON Schema validator, in its own order and with the values (`verbose`), into faults that a
 * person can act on.
 *
 * The OpenAPI schemas offer "this, or a reference to it" nearly everywhere, and alternatives told apart by one field,
 * so one mistake fails several branches. Kept is what the branch that was meant complains about.
 */
export function schemaFaults(errors: readonly ErrorObject[]): DocumentFault[] {
  const told = withoutReferenceBranch(errors).filter(({ keyword }) => !WRAPPERS.has(keyword));
  const meant = withoutOtherAlternatives(told);
  // Whatever the filters think, an error never becomes no fault: that would accept the document.
  const kept = [meant, told].find((some) => some.length > 0) ?? errors;
  const faults = new Map<string, DocumentFault>();
  for (const error of kept) {
    const fault = schemaFault(error);
    faults.set(`${fault.pointer} ${fault.detail}`, fault);
  }
  return withoutEchoes([...faults.values()]);
}

/** A branch that wanted a reference misses its `$ref`, and then complains about every field of what is none. */
function withoutReferenceBranch(errors: readonly ErrorObject[]): ErrorObject[] {
  let branch: string | undefined;
  return errors.filter(({ keyword, instancePath, params }) => {
    if (keyword === 'required' && params['missingProperty'] === '$ref') {
      branch = instancePath;
      return false;
    }
    if (keyword !== 'additionalProperties' || instancePath !== branch) branch = undefined;
    return branch === undefined;
  });
}

/**
 * A value that chose an alternative is no fault because the others wanted another one. When it chose none, one error
 * says what there is to choose from.
 */
function withoutOtherAlternatives(errors: readonly ErrorObject[]): ErrorObject[] {
  const choices = new Map<string, unknown[]>();
  for (const error of errors) {
    if (!isChoice(error)) continue;
    const { instancePath, params } = error;
    choices.set(instancePath, [...(choices.get(instancePath) ?? []), ...params['allowedValues']]);
  }
  return errors.flatMap((error) => {
    if (isOfAnotherAlternative(error)) return [];
    const choice = isChoice(error) ? choices.get(error.instancePath) : undefined;
    if (!choice) return [error];
    const isChosen = ALTERNATIVES.some(
      (all) => all.has(error.data) && choice.every((value) => all.has(value)),
    );
    return isChosen ? [] : [{ ...error, params: { allowedValues: [...new Set(choice)] } }];
  });
}

/** What an alternative that the value did not choose says about the object as a whole. */
function isOfAnotherAlternative({ keyword, data, parentSchema }: ErrorObject): boolean {
  if (keyword !== 'required' && keyword !== 'additionalProperties') return false;
  const fields: unknown = parentSchema?.['properties'];
  if (!isJsonObject(fields) || !isJsonObject(data)) return false;
  return Object.entries(fields).some(([name, field]) => {
    const allowed = member(field, 'enum');
    const value = member(data, name);
    return (
      Array.isArray(allowed) && allowed.length === 1 && value !== undefined && value !== allowed[0]
    );
  });
}

/** A field of one allowed value, as the branches of a choice have it. */
function isChoice({ keyword, params }: ErrorObject): boolean {
  const allowed: unknown = params['allowedValues'];
  return keyword === 'enum' && Array.isArray(allowed) && allowed.length === 1;
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
