import type { Decision } from '@io/limits';
import { isoText } from '../decisions/decision-answer.js';
import { field, utf8 } from './wire.js';

/**
 * What was decided, as a `google.protobuf.Struct` of texts under the names of the access log that `tollgate collect`
 * reads. Envoy keeps it beside the call, where no client's header can be taken for it.
 */
export function stringStruct(decision: Decision, apiId: string, stage: string): string {
  const { keyId, customerId, decisionId, resourcePath, atMs } = decision;
  return (
    entry('decision', decision.allowed ? 'allowed' : 'refused') +
    entry('decisionId', decisionId) +
    (keyId === null ? '' : entry('keyId', keyId)) +
    (customerId === null ? '' : entry('customerId', customerId)) +
    entry('apiId', apiId) +
    entry('stage', stage) +
    (resourcePath === null ? '' : entry('resourcePath', utf8(resourcePath))) +
    entry('tollgateTime', isoText(atMs))
  );
}

/** One entry of the map `fields`: a name, and a `Value` with its `string_value`. */
const entry = (name: string, text: string) => field(1, field(1, name) + field(2, field(3, text)));
