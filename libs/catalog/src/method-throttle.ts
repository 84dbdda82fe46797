import { HTTP_METHODS, type HttpMethod } from './api-methods.js';
import type { FieldFault } from '@core/kernel';
import { childPointer, isJsonObject } from './json-pointer.js';
import { resourcePath } from './resource-path.js';
import { throttleFaults, type Throttle } from './throttle.js';

/** Which method: a verb and a resource path in canonical form. */
export interface MethodName {
  readonly httpMethod: HttpMethod;
  readonly resourcePath: string;
}

/** The throttle of one method. */
export interface MethodThrottle extends MethodName, Throttle {}

/** Amazon's key of a method in a map of throttles: `/pets/{petId}/GET`, and `//GET` for the root's. */
export function methodKey({
  resourcePath,
  httpMethod,
}: {
  resourcePath: string;
  httpMethod: string;
}): string {
  return `${resourcePath}/${httpMethod}`;
}

/** The method of such a key, or why it names none. The root's may be written `/GET` too. */
export function parseMethodKey(key: string): MethodName | { readonly fault: string } {
  const end = key.lastIndexOf('/');
  const verb = key.slice(end + 1);
  const httpMethod = HTTP_METHODS.find((method) => method === verb);
  if (end < 0 || !httpMethod) {
    return { fault: `must end with "/" and one of ${HTTP_METHODS.join(', ')}` };
  }
  const resource = resourcePath(key.slice(0, end) || '/');
  return 'fault' in resource ? resource : { httpMethod, resourcePath: resource.path };
}

/**
 * Reads an untrusted map of throttles by method, in the order of `methodKey`. Every fault is told with the place of
 * its entry below `pointer`; what is read besides faults must not be used.
 */
export function parseMethodThrottles(
  map: Readonly<Record<string, unknown>>,
  pointer: string,
): { readonly throttles: readonly MethodThrottle[]; readonly faults: readonly FieldFault[] } {
  const faults: FieldFault[] = [];
  const throttles = new Map<string, MethodThrottle>();
  for (const [key, value] of Object.entries(map)) {
    const place = childPointer(pointer, key);
    const name = parseMethodKey(key);
    if ('fault' in name) {
      faults.push({ pointer: place, detail: name.fault });
      continue;
    }
    const throttle = parseThrottle(value, place);
    if (Array.isArray(throttle)) {
      faults.push(...throttle);
      continue;
    }
    if (throttles.has(methodKey(name))) {
      faults.push({ pointer: place, detail: 'names a method a second time' });
    }
    throttles.set(methodKey(name), { ...name, ...throttle });
  }
  const sorted = [...throttles].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, one]) => one);
  return { throttles: sorted, faults };
}

/** The map of throttles by method, as it is shown. */
export function methodThrottleMap(throttles: readonly MethodThrottle[]): Record<string, Throttle> {
  return Object.fromEntries(
    throttles.map((throttle) => {
      const { rateLimit, burstLimit } = throttle;
      return [methodKey(throttle), { rateLimit, burstLimit }];
    }),
  );
}

function parseThrottle(json: unknown, pointer: string): Throttle | FieldFault[] {
  if (!isJsonObject(json)) return [{ pointer, detail: 'must be an object' }];
  const unknown = Object.keys(json).filter((key) => key !== 'rateLimit' && key !== 'burstLimit');
  if (unknown.length > 0) {
    return unknown.map((key) => ({
      pointer: childPointer(pointer, key),
      detail: 'is not a field of a throttle',
    }));
  }
  const { rateLimit, burstLimit } = json;
  if (typeof rateLimit !== 'number') {
    return [{ pointer: `${pointer}/rateLimit`, detail: 'must be a number' }];
  }
  if (typeof burstLimit !== 'number') {
    return [{ pointer: `${pointer}/burstLimit`, detail: 'must be a whole number' }];
  }
  const faults = throttleFaults({ rateLimit, burstLimit }, pointer);
  return faults.length > 0 ? faults : { rateLimit, burstLimit };
}
