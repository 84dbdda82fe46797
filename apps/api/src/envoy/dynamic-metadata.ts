import type { Decision } from '@io/limits';
import { ownText } from '@io/platform';
import { isoText } from '../decisions/decision-answer.js';
import { field, slot, utf8 } from './wire.js';

/** One entry of the map `fields`: a name, and a `Value` with its `string_value`. */
const entry = (name: string) => slot((text) => field(1, field(1, name) + field(2, field(3, text))));

const DECISION = {
  allowed: entry('decision')('allowed'),
  refused: entry('decision')('refused'),
};
const DECISION_ID = entry('decisionId');
const KEY_ID = entry('keyId');
const CUSTOMER_ID = entry('customerId');
const API_ID = entry('apiId');
const STAGE = entry('stage');
const RESOURCE_PATH = entry('resourcePath');
const SHADOWED = entry('shadowed');
const TIME = entry('tollgateTime');

/**
 * What was decided, as a `google.protobuf.Struct` of texts under the names of the access log that `tollgate collect`
 * reads. Envoy keeps it beside the call, where no client's header can be taken for it.
 */
export function stringStruct(decision: Decision, apiId: string, stage: string): string {
  const { subject, decisionId, shadowed, atMs } = decision;
  return (
    (decision.allowed ? DECISION.allowed : DECISION.refused) +
    DECISION_ID(decisionId) +
    (subject
      ? (subject.struct ??= ownText(subjectEntries(subject, apiId, stage)))
      : subjectEntries(decision, apiId, stage)) +
    (shadowed === null ? '' : SHADOWED(shadowed)) +
    TIME(isoText(atMs))
  );
}

/** Of whom and what it is. */
function subjectEntries(
  { keyId, customerId, resourcePath }: Pick<Decision, 'keyId' | 'customerId' | 'resourcePath'>,
  apiId: string,
  stage: string,
): string {
  return (
    (keyId === null ? '' : KEY_ID(keyId)) +
    (customerId === null ? '' : CUSTOMER_ID(customerId)) +
    API_ID(apiId) +
    STAGE(stage) +
    (resourcePath === null ? '' : RESOURCE_PATH(utf8(resourcePath)))
  );
}
