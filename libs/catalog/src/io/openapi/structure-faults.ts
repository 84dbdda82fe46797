import type { DocumentFault } from '../../errors.js';
import {
  childPointer,
  isJsonObject,
  resolveLocalRef,
  type JsonObject,
} from '../../json-pointer.js';

/** Levels below the document itself. Far below where recursion overflows. */
export const DEPTH_MAX = 64;

/** Values of all sorts. Large public documents have some 10,000. */
export const NODES_MAX = 20_000;

/** Below these keys stands an author's data, in which a "$ref" may be just a word. */
const HOLDS_DATA = /^(?:example|examples|default|enum|const|x-.*)$/;

interface Place {
  readonly value: unknown;
  readonly pointer: string;
  readonly depth: number;
  readonly isData: boolean;
}

/**
 * What makes a parsed text unsafe or impossible to walk: depth, size, keys that reach for prototypes, merge keys,
 * numbers and characters that JSON or the database cannot hold, and references that leave the document or end nowhere.
 * Walks without recursion.
 */
export function structureFaults(document: JsonObject): DocumentFault[] {
  const faults: DocumentFault[] = [];
  const stack: Place[] = [{ value: document, pointer: '', depth: 0, isData: false }];
  let nodes = 0;
  for (let place = stack.pop(); place; place = stack.pop()) {
    const { value, pointer, depth, isData } = place;
    nodes++;
    if (depth > DEPTH_MAX)
      return [{ pointer, detail: `is nested deeper than ${DEPTH_MAX} levels` }];

    if (typeof value !== 'object' || value === null) {
      const detail = scalarFault(value);
      if (detail) faults.push({ pointer, detail });
      continue;
    }
    const size = Array.isArray(value) ? value.length : Object.keys(value).length;
    if (nodes + stack.length + size > NODES_MAX) {
      return [{ pointer: '', detail: `has more than ${NODES_MAX} nodes` }];
    }
    const children: Place[] = [];
    for (const [key, child] of Object.entries(value)) {
      const at = childPointer(pointer, key);
      const detail = keyFault(key, child) ?? refFault(document, { key, child, isData });
      if (detail) faults.push({ pointer: at, detail });
      children.push({
        value: child,
        pointer: at,
        depth: depth + 1,
        isData: isData || HOLDS_DATA.test(key),
      });
    }
    stack.push(...children.reverse());
  }
  return faults;
}

function scalarFault(value: unknown): string | undefined {
  if (typeof value === 'number' && !Number.isFinite(value)) return 'must be a finite number';
  if (typeof value === 'string' && value.includes('\0')) return 'must not hold a NUL character';
  return undefined;
}

/** The same rule as for request bodies: `constructor` alone is a word, with `prototype` below it an attack. */
function keyFault(key: string, child: unknown): string | undefined {
  if (key === '__proto__') return 'is a key that is not accepted';
  if (key === 'constructor' && isJsonObject(child) && Object.hasOwn(child, 'prototype')) {
    return 'is a key that is not accepted';
  }
  if (key === '<<') return 'is a merge key, which is not accepted';
  if (key.includes('\0')) return 'must not hold a NUL character';
  return undefined;
}

function refFault(
  document: JsonObject,
  { key, child, isData }: { key: string; child: unknown; isData: boolean },
): string | undefined {
  if ((key !== '$ref' && key !== '$dynamicRef') || typeof child !== 'string') return undefined;
  if (key === '$dynamicRef' && child.startsWith('#')) return undefined;
  if (!child.startsWith('#/')) {
    return 'must point into this document (#/…); references to other files or addresses are not followed';
  }
  if (isData || resolveLocalRef(document, child) !== undefined) return undefined;
  return `points at "${child}", which is not in this document`;
}
