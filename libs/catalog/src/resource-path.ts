/** A path template as the catalogue keeps it, or why it cannot be kept. */
export type ResourcePath =
  { readonly path: string; readonly shape: string } | { readonly fault: string };

/** `{petId}`, or greedy `{proxy+}`, which Amazon allows as the last segment. */
const PARAMETER = /^\{([A-Za-z0-9._$:-]+)(\+?)\}$/;
const LENGTH_MAX = 1024;
/** RFC 3986 pchar without percent signs: what may stand in a path as it is. */
const LITERAL = /[A-Za-z0-9\-._~!$&'()*+,;=:@]/;
const UNRESERVED = /[A-Za-z0-9\-._~]/;

/**
 * Brings a path template into the one form that requests are matched against.
 *
 * Literal segments are percent-encoded as a canonical request path is, and a trailing slash goes. `shape` is the
 * template without the names of its parameters: two templates of the same shape answer the same requests.
 */
export function resourcePath(template: string): ResourcePath {
  if (!template.startsWith('/')) return { fault: 'must start with "/"' };
  if (template.length > LENGTH_MAX) return { fault: `is longer than ${LENGTH_MAX} characters` };
  if (/[?#]/.test(template)) return { fault: 'must not hold a query or a fragment' };
  if (template === '/') return { path: '/', shape: '/' };

  const segments = template.replace(/\/$/, '').slice(1).split('/');
  const names = new Set<string>();
  const path: string[] = [];
  const shape: string[] = [];
  for (const [index, segment] of segments.entries()) {
    const parameter = PARAMETER.exec(segment);
    if (parameter) {
      const [, name = '', greedy] = parameter;
      if (names.has(name)) return { fault: `names the parameter {${name}} twice` };
      if (greedy && index < segments.length - 1) {
        return { fault: `must end with the greedy parameter {${name}+}` };
      }
      names.add(name);
      path.push(segment);
      shape.push(greedy ? '{+}' : '{}');
      continue;
    }
    const literal = canonicalLiteral(segment);
    if ('fault' in literal) return literal;
    path.push(literal.text);
    shape.push(literal.text);
  }
  return { path: `/${path.join('/')}`, shape: `/${shape.join('/')}` };
}

function canonicalLiteral(segment: string): { text: string } | { fault: string } {
  if (segment === '') return { fault: 'must not hold an empty segment ("//")' };
  if (/[{}]/.test(segment)) {
    return { fault: `has "${segment}", but a parameter must be a whole segment, such as {id}` };
  }
  let text = '';
  for (const part of segment.match(/%[0-9A-Fa-f]{2}|./gsu) ?? []) {
    if (part.length === 3 && part.startsWith('%')) {
      const byte = Number.parseInt(part.slice(1), 16);
      const decoded = String.fromCharCode(byte);
      if (byte < 0x20 || byte === 0x7f || '/\\%'.includes(decoded)) {
        return { fault: `must not hold ${part}` };
      }
      text += byte < 0x80 && UNRESERVED.test(decoded) ? decoded : part.toUpperCase();
    } else if (part === '%' || part === '\\' || /[\p{Cc}\p{Cs}]/u.test(part)) {
      return { fault: `must not hold ${JSON.stringify(part)}` };
    } else {
      text += LITERAL.test(part) ? part : encodeURIComponent(part);
    }
  }
  return text === '.' || text === '..' ? { fault: 'must not hold "." or ".." segments' } : { text };
}
