/** A JSON value and the line of the text that it begins on, from 1. */
export interface Located {
  readonly line: number;
  readonly value: string | number | boolean | null | readonly Located[] | LocatedMembers;
}

/** The members of an object, each with the line of its name. */
export type LocatedMembers = ReadonlyMap<string, Located>;

/** The text is not JSON; `line` is where reading ended. */
export class NotJson extends Error {
  override readonly name = 'NotJson';

  constructor(
    readonly line: number,
    readonly expected: string,
  ) {
    super(`line ${line}: expected ${expected}`);
  }
}

const TOKEN =
  /[ \t\r\n]*([{}[\],:]|"(?:[^"\\\p{Cc}]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null|$)/uy;
const DEPTH_MAX = 20;

/** Reads JSON with the line of each value. A name that comes twice in an object is refused. Throws `NotJson`. */
export function locatedJson(text: string): Located {
  const reader = new Reader(text);
  const value = reader.value(reader.next('a value'), 0);
  if (reader.next('the end') !== '') throw new NotJson(reader.line, 'the end');
  return value;
}

class Reader {
  line = 1;
  private at = 0;

  constructor(private readonly text: string) {}

  /** The next token; empty at the end of the text. */
  next(expected: string): string {
    TOKEN.lastIndex = this.at;
    const [all, token] = TOKEN.exec(this.text) ?? [];
    if (all === undefined || token === undefined) {
      const space = /^[ \t\r\n]*/.exec(this.text.slice(this.at))?.[0] ?? '';
      throw new NotJson(this.line + linesIn(space), expected);
    }
    this.line += linesIn(all);
    this.at += all.length;
    return token;
  }

  value(token: string, depth: number): Located {
    const { line } = this;
    if (depth > DEPTH_MAX) throw new NotJson(line, 'less depth');
    if (token === '{') return { line, value: this.members(depth) };
    if (token === '[') return { line, value: this.items(depth) };
    if (token === '' || '}],:'.includes(token)) throw new NotJson(line, 'a value');
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the token is one JSON scalar
    return { line, value: JSON.parse(token) as string | number | boolean | null };
  }

  private members(depth: number): LocatedMembers {
    const members = new Map<string, Located>();
    let token = this.next('a name or "}"');
    while (token !== '}') {
      if (!token.startsWith('"')) throw new NotJson(this.line, 'a name in quotes');
      const { line } = this;
      const name = String(JSON.parse(token));
      if (members.has(name)) throw new NotJson(line, `"${name}" once`);
      if (this.next('":"') !== ':') throw new NotJson(this.line, `":" after "${name}"`);
      members.set(name, { ...this.value(this.next('a value'), depth + 1), line });
      token = this.afterItem('}');
    }
    return members;
  }

  private items(depth: number): Located[] {
    const items: Located[] = [];
    let token = this.next('a value or "]"');
    while (token !== ']') {
      items.push(this.value(token, depth + 1));
      token = this.afterItem(']');
    }
    return items;
  }

  /** The token after an item: the end, or what follows a comma. */
  private afterItem(end: '}' | ']'): string {
    const token = this.next(`"," or "${end}"`);
    if (token === end) return token;
    if (token !== ',') throw new NotJson(this.line, `"," or "${end}"`);
    const following = this.next('what follows ","');
    if (following === end) throw new NotJson(this.line, 'what follows ","');
    return following;
  }
}

const linesIn = (text: string): number => text.split('\n').length - 1;
