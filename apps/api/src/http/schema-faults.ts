import type { ErrorObject } from 'ajv';
import type { FieldFault } from '@io/platform';

/** What Ajv found, with the field that is wrong. */
export function schemaFaults(errors: readonly ErrorObject[] | null | undefined): FieldFault[] {
  return (errors ?? []).map(({ instancePath, keyword, params, message = 'is not valid' }) => {
    const { additionalProperty, missingProperty } = params as Record<string, string | undefined>;
    if (additionalProperty !== undefined) {
      return {
        pointer: `${instancePath}/${additionalProperty}`,
        detail: 'is not a field of this request',
      };
    }
    if (missingProperty !== undefined)
      return { pointer: `${instancePath}/${missingProperty}`, detail: 'is required' };
    return {
      pointer: instancePath || '/',
      detail: keyword === 'pattern' ? 'does not have the right form' : message,
    };
  });
}
