/** One method of an api: a template such as `/pets/{petId}` or `/files/{proxy+}`, and a verb or ANY. */
export interface RoutedMethod<Id> {
  readonly method: string;
  readonly resourcePath: string;
  readonly id: Id;
}

interface Node<Id> {
  readonly literals: Map<string, Node<Id>>;
  /** `{petId}`: one segment, not empty. */
  parameter: Node<Id> | null;
  /** `{proxy+}`: all that is left, at least one segment; it has no children. */
  greedy: Node<Id> | null;
  /** By verb; of two methods with the same shape and verb the first holds. */
  readonly methods: Map<string, RoutedMethod<Id>>;
}

/**
 * Finds the method of a path. A literal segment beats `{param}` beats `{proxy+}`, and the verb itself
 * beats ANY; where the best resource lacks the verb, the next best that has it is taken.
 *
 * Paths and templates are canonical (`canonicalPath`) and case-sensitive. A trie without RegExp: a match
 * visits no node twice, whatever the path.
 */
export class MethodRouter<Id> {
  readonly #root: Node<Id> = aNode();
  readonly #ignoresTrailingSlash: boolean;

  constructor(
    methods: Iterable<RoutedMethod<Id>>,
    { trailingSlash }: { readonly trailingSlash: 'ignore' | 'strict' },
  ) {
    this.#ignoresTrailingSlash = trailingSlash === 'ignore';
    for (const method of methods) this.#add(method);
  }

  /** The method that answers the verb (upper case) at the path, or null. */
  match(verb: string, path: string): RoutedMethod<Id> | null {
    return find(this.#root, verb, path, this.#end(path), 0);
  }

  #add(method: RoutedMethod<Id>): void {
    const path = method.resourcePath.slice(0, this.#end(method.resourcePath));
    let node = this.#root;
    for (const segment of path.split('/').slice(1)) node = child(node, segment);
    if (!node.methods.has(method.method)) node.methods.set(method.method, method);
  }

  /** Where the path ends: the root is empty, and a trailing slash counts only when it is told apart. */
  #end(path: string): number {
    const isCut = path === '/' || (this.#ignoresTrailingSlash && path.endsWith('/'));
    return isCut ? path.length - 1 : path.length;
  }
}

function aNode<Id>(): Node<Id> {
  return { literals: new Map(), parameter: null, greedy: null, methods: new Map() };
}

function child<Id>(node: Node<Id>, segment: string): Node<Id> {
  if (segment.startsWith('{') && segment.endsWith('+}')) return (node.greedy ??= aNode());
  if (segment.startsWith('{') && segment.endsWith('}')) return (node.parameter ??= aNode());
  const known = node.literals.get(segment);
  if (known !== undefined) return known;
  const made = aNode<Id>();
  node.literals.set(segment, made);
  return made;
}

/** `at` is the slash before the next segment, or the end. */
function find<Id>(
  node: Node<Id>,
  verb: string,
  path: string,
  end: number,
  at: number,
): RoutedMethod<Id> | null {
  if (at >= end) return methodOf(node, verb);
  const slash = path.indexOf('/', at + 1);
  const next = slash === -1 || slash > end ? end : slash;
  const literal = node.literals.get(path.slice(at + 1, next));
  const found = literal === undefined ? null : find(literal, verb, path, end, next);
  if (found !== null || next === at + 1) return found;
  return (
    (node.parameter === null ? null : find(node.parameter, verb, path, end, next)) ??
    (node.greedy === null ? null : methodOf(node.greedy, verb))
  );
}

function methodOf<Id>(node: Node<Id>, verb: string): RoutedMethod<Id> | null {
  return node.methods.get(verb) ?? node.methods.get('ANY') ?? null;
}
