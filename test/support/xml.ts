/** An element as it was read; names keep their prefix. */
export interface Xml {
  readonly name: string;
  readonly attributes: Readonly<Record<string, string>>;
  readonly children: readonly Xml[];
  /** Of an element without elements. */
  readonly text: string;
}

const NAME = '[A-Za-z_][\\w.-]*(?::[A-Za-z_][\\w.-]*)?';
const TAG = new RegExp(`<(/?)(${NAME})((?:\\s+${NAME}="[^"<]*")*)\\s*>`, 'y');
const ATTRIBUTE = new RegExp(`\\s+(${NAME})="([^"<]*)"`, 'g');
const ENTITIES: Readonly<Record<string, string>> = {
  amp: '&',
  lt: '<',
  gt: '>',
  quot: '"',
  apos: "'",
};
/** What XML 1.0 has no place for. */
const ILLEGAL = /[^\t\n\r\u{20}-\u{D7FF}\u{E000}-\u{FFFD}\u{10000}-\u{10FFFF}]/u;

/** Reads the XML that e-invoices need, strictly: whatever is not well-formed, or has mixed content, throws. */
export function readXml(source: string): Xml {
  const illegal = ILLEGAL.exec(source);
  if (illegal) throw new Error(`An illegal character at ${illegal.index}.`);
  const head = '<?xml version="1.0" encoding="UTF-8"?>\n';
  if (!source.startsWith(head)) throw new Error('No declaration.');
  const { element, end } = readElement(source, head.length);
  if (source.slice(end).trim() !== '') throw new Error(`Something follows the root at ${end}.`);
  return element;
}

function readElement(source: string, start: number): { element: Xml; end: number } {
  const open = tagAt(source, start);
  if (open.isClosing) throw new Error(`A closing tag at ${start}.`);
  const children: Xml[] = [];
  let text = '';
  let at = open.end;
  for (;;) {
    const next = source.indexOf('<', at);
    if (next < 0) throw new Error(`<${open.name}> is never closed.`);
    text += source.slice(at, next);
    const tag = tagAt(source, next);
    if (tag.isClosing) {
      if (tag.name !== open.name) throw new Error(`</${tag.name}> closes <${open.name}>.`);
      if (children.length > 0 && text.trim() !== '') throw new Error(`Text in <${open.name}>.`);
      const { name, attributes } = open;
      return { element: { name, attributes, children, text: unescaped(text) }, end: tag.end };
    }
    const child = readElement(source, next);
    children.push(child.element);
    at = child.end;
  }
}

function tagAt(source: string, start: number) {
  TAG.lastIndex = start;
  const [whole, slash = '', name = '', inTag = ''] = TAG.exec(source) ?? [];
  if (whole === undefined)
    throw new Error(`No tag at ${start}: ${source.slice(start, start + 40)}`);
  const pairs = [...inTag.matchAll(ATTRIBUTE)].map(([, key = '', value = '']) => {
    return [key, unescaped(value)] as const;
  });
  const attributes = Object.fromEntries(pairs);
  if (Object.keys(attributes).length < pairs.length) throw new Error(`<${name}> says it twice.`);
  return { name, attributes, isClosing: slash === '/', end: start + whole.length };
}

function unescaped(text: string): string {
  if (text.includes(']]>') || text.includes('>')) throw new Error(`A bare > in ${text}`);
  return text.replace(/&([^;]*);?/g, (reference, name: string) => {
    const character = reference.endsWith(';') ? ENTITIES[name] : undefined;
    if (character === undefined) throw new Error(`An unknown reference ${reference}`);
    return character;
  });
}

/** The children by a path of names. */
export function all(xml: Xml, path: string): Xml[] {
  return path
    .split('/')
    .reduce(
      (found: readonly Xml[], name) =>
        found.flatMap(({ children }) => children.filter((child) => child.name === name)),
      [xml],
    ) as Xml[];
}

/** The text of the one child at a path; null when it is not there. */
export function textOf(xml: Xml, path: string): string | null {
  const found = all(xml, path);
  if (found.length > 1) throw new Error(`${path} is there ${found.length} times.`);
  return found[0]?.text ?? null;
}
