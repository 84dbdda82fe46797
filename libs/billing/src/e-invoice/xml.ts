/** An element: its name with prefix, its attributes, and what is in it. An absent child is left out. */
export interface XmlElement {
  readonly name: string;
  readonly attributes: Readonly<Record<string, string>>;
  readonly content: string | readonly XmlElement[];
}

type Child = XmlElement | null | readonly XmlElement[];

/** An element of elements. */
export function element(name: string, ...children: readonly Child[]): XmlElement {
  return { name, attributes: {}, content: children.flatMap((child) => child ?? []) };
}

/** An element with a text. */
export function leaf(
  name: string,
  text: string,
  attributes: Readonly<Record<string, string>> = {},
): XmlElement {
  return { name, attributes, content: text };
}

/** The same, where there is a text; else nothing. */
export function optionalLeaf(
  name: string,
  text: string | null,
  attributes?: Readonly<Record<string, string>>,
): XmlElement | null {
  return text === null ? null : leaf(name, text, attributes);
}

/** A document with these namespaces. The same tree gives the same bytes. */
export function xmlDocument(
  root: XmlElement,
  namespaces: Readonly<Record<string, string>>,
): string {
  const head = '<?xml version="1.0" encoding="UTF-8"?>\n';
  return head + written({ ...root, attributes: { ...namespaces, ...root.attributes } }, '');
}

/** Text without what XML 1.0 cannot carry, not even as a reference: most control characters and halves of pairs. */
export function xmlText(text: string): string {
  return text
    .replace(/\r\n?/g, '\n')
    .replace(/[^\t\n\u{20}-\u{D7FF}\u{E000}-\u{FFFD}\u{10000}-\u{10FFFF}]/gu, '');
}

function written({ name, attributes, content }: XmlElement, indent: string): string {
  const inTag = Object.entries(attributes)
    .map(([key, value]) => ` ${key}="${escaped(value)}"`)
    .join('');
  const inside =
    typeof content === 'string'
      ? escaped(content)
      : `\n${content.map((child) => written(child, `${indent}  `)).join('')}${indent}`;
  return `${indent}<${name}${inTag}>${inside}</${name}>\n`;
}

const REFERENCES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
};

function escaped(text: string): string {
  return xmlText(text).replace(/[&<>"]/g, (character) => REFERENCES[character] ?? '');
}
