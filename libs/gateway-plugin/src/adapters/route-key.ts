/** The route of a connection that opens, and of messages that have none of their own: Amazon's names. */
export const CONNECT_ROUTE = '$connect';
export const DEFAULT_ROUTE = '$default';
/** What Amazon's console and documents use. */
export const DEFAULT_EXPRESSION = '$request.body.action';

const EXPRESSION = /^\$(?:request\.body\.([\w.-]+)|\{request\.body\.([\w.-]+)\})$/;
/** What the service takes for a route key. */
const ROUTE_KEY = /^[A-Za-z$][A-Za-z0-9_$.-]{0,63}$/;

/** Finds the route key of a text message. */
export type RouteSelector = (text: string) => string;

/**
 * The selector that a route selection expression stands for: `$request.body.action` takes the member `action` of a JSON
 * message. What has none, or is no JSON, goes to `$default`. Throws a `TypeError` for any other expression.
 */
export function routeSelector(expression: string): RouteSelector {
  const [, plain, braced] = EXPRESSION.exec(expression) ?? [];
  const path = (plain ?? braced)?.split('.');
  if (path === undefined) {
    throw new TypeError(
      `"${expression}" is no route selection expression such as "${DEFAULT_EXPRESSION}"`,
    );
  }
  return (text) => {
    const key = memberAt(text, path);
    // A client names routes of the api, not those that are Amazon's own.
    return typeof key === 'string' && ROUTE_KEY.test(key) && !key.startsWith('$')
      ? key
      : DEFAULT_ROUTE;
  };
}

function memberAt(text: string, path: readonly string[]): unknown {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  for (const name of path) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, name))
      return undefined;
    value = Reflect.get(value, name);
  }
  return value;
}
