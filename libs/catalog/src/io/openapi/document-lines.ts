import { EVENT_ID, getScalarValue, parseEvents, YAMLException, type Event } from 'js-yaml';
import type { DocumentFault } from '../../errors.js';
import { childPointer } from '../../json-pointer.js';
import { DEPTH_MAX } from './structure-faults.js';

/** Adds to each fault the line on which its place, or the nearest place around it that exists, begins. */
export function linesOf(text: string, faults: readonly DocumentFault[]): DocumentFault[] {
  const isLost = (fault: DocumentFault) => fault.line === undefined && fault.pointer !== '';
  if (!faults.some(isLost)) return [...faults];
  const offsets = offsetsByPointer(text);
  return faults.map((fault) => {
    if (!isLost(fault)) return fault;
    let { pointer } = fault;
    while (pointer !== '' && !offsets.has(pointer)) {
      pointer = pointer.slice(0, pointer.lastIndexOf('/'));
    }
    const offset = offsets.get(pointer);
    return offset === undefined ? fault : { ...fault, line: lineAt(text, offset) };
  });
}

interface Frame {
  readonly pointer: string;
  /** The key whose value comes next; `null` when a key comes next; a number in a sequence. */
  next: string | number | null;
}

/** Where each key or item begins. Empty for JSON that is not YAML (a key beyond 1,024 characters): lines are a courtesy. */
function offsetsByPointer(text: string): ReadonlyMap<string, number> {
  const offsets = new Map<string, number>();
  let events: Event[];
  try {
    events = parseEvents(text, { maxDepth: DEPTH_MAX });
  } catch (error) {
    if (error instanceof YAMLException) return offsets;
    throw error;
  }
  const stack: Frame[] = [];
  /** Notes that a value begins, and returns its pointer. */
  const begin = (offset: number): string => {
    const frame = stack.at(-1);
    if (!frame) return '';
    const pointer = childPointer(frame.pointer, frame.next ?? '');
    if (!offsets.has(pointer)) offsets.set(pointer, offset);
    frame.next = typeof frame.next === 'number' ? frame.next + 1 : null;
    return pointer;
  };
  for (const event of events) {
    const frame = stack.at(-1);
    switch (event.type) {
      case EVENT_ID.SCALAR:
        if (frame?.next === null) {
          frame.next = getScalarValue(text, event);
          offsets.set(childPointer(frame.pointer, frame.next), event.valueStart);
        } else {
          begin(event.valueStart);
        }
        break;
      case EVENT_ID.MAPPING:
        stack.push({ pointer: begin(event.start), next: null });
        break;
      case EVENT_ID.SEQUENCE:
        stack.push({ pointer: begin(event.start), next: 0 });
        break;
      case EVENT_ID.POP:
        stack.pop();
        break;
      case EVENT_ID.DOCUMENT:
      case EVENT_ID.ALIAS:
        break;
    }
  }
  return offsets;
}

function lineAt(text: string, offset: number): number {
  let line = 1;
  for (let at = text.indexOf('\n'); at >= 0 && at < offset; at = text.indexOf('\n', at + 1)) line++;
  return line;
}
