import {
  constructFromEvents,
  CORE_SCHEMA,
  EVENT_ID,
  parseEvents,
  YAMLException,
  type Event,
} from 'js-yaml';
import { InvalidApiDocument, type DocumentFault } from '../../errors.js';
import { isJsonObject, type JsonObject } from '../../json-pointer.js';
import { DEPTH_MAX, NODES_MAX } from './structure-faults.js';

/** The object that a JSON or YAML text holds. Its structure is not checked yet if the text is JSON. */
export function parseText(text: string): JsonObject {
  const source = text.replace(/^\uFEFF/, '');
  const value = parseJson(source) ?? parseYaml(source);
  if (!isJsonObject(value)) throw refusal({ pointer: '', detail: 'must be an object' });
  return value;
}

/** `undefined` when it is not JSON: the YAML reader then says where it breaks, since YAML includes JSON. */
function parseJson(text: string): unknown {
  if (!/^\s*\{/.test(text)) return undefined;
  try {
    return JSON.parse(text);
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

/**
 * Judges the flat list of events before any value is built from it: an alias costs nothing to parse and a fortune to
 * walk. The reader itself limits the depth.
 */
function parseYaml(text: string): unknown {
  try {
    const events = parseEvents(text, { maxDepth: DEPTH_MAX });
    refuseEvents(text, events);
    const documents = constructFromEvents(events, {
      source: text,
      schema: CORE_SCHEMA,
      maxAliases: 0,
    });
    if (documents.length > 1) throw refusal({ pointer: '', detail: 'must be a single document' });
    return documents[0];
  } catch (error) {
    if (!(error instanceof YAMLException)) throw error;
    const place = error.mark ? { line: error.mark.line + 1, column: error.mark.column + 1 } : {};
    throw refusal({ pointer: '', detail: `cannot be read: ${error.reason}`, ...place });
  }
}

function refuseEvents(text: string, events: readonly Event[]): void {
  let nodes = 0;
  for (const event of events) {
    if (event.type === EVENT_ID.DOCUMENT || event.type === EVENT_ID.POP) continue;
    if (event.type === EVENT_ID.ALIAS) {
      YAMLException.throwAt(text, event.anchorStart, 'aliases (*) are not accepted');
    }
    if (event.anchorStart >= 0) {
      YAMLException.throwAt(text, event.anchorStart, 'anchors (&) are not accepted');
    }
    if (event.tagStart >= 0) {
      YAMLException.throwAt(text, event.tagStart, 'tags (!) are not accepted');
    }
    nodes++;
    // Keys are events of their own, so that a mapping of n pairs has 2n of them.
    if (nodes > 2 * NODES_MAX) {
      throw refusal({ pointer: '', detail: `has more than ${NODES_MAX} nodes` });
    }
  }
}

function refusal(fault: DocumentFault): InvalidApiDocument {
  return new InvalidApiDocument([fault]);
}
