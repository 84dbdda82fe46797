import { refusalAnswer } from '@core/limits';
import type { Decision } from '@io/limits';

/** The JSON text of a decision. Written by hand, since a general serialiser takes longer than the decision. */
export function decisionJson(decision: Decision): string {
  const { keyId, customerId, usagePlanId, resourcePath, rate, quota } = decision;
  let json = `{"allowed":${decision.allowed},"decisionId":"${decision.decisionId}"`;
  if (decision.reason !== null) {
    const { status, message, errorType } = refusalAnswer(decision.reason);
    json += `,"reason":"${decision.reason}","level":${text(decision.level)},"status":${status},"message":"${message}","errorType":"${errorType}","retryAfterMs":${decision.retryAfterMs}`;
  }
  json += `,"keyId":${text(keyId)},"customerId":${text(customerId)},"usagePlanId":${text(usagePlanId)},"resourcePath":${templateJson(resourcePath)}`;
  json += rate
    ? `,"rate":{"limit":${rate.limit},"remaining":${rate.remaining},"resetsAt":"${isoText(rate.resetsAtMs)}"}`
    : ',"rate":null';
  json += quota
    ? `,"quota":{"limit":${quota.limit},"remaining":${quota.remaining},"resetsAt":"${quota.resetsAt}"}`
    : ',"quota":null';
  if (decision.shadowed !== null) json += `,"shadowed":"${decision.shadowed}"`;
  return `${json}}`;
}

/** A template as JSON in ASCII; nearly always it is both already. */
function templateJson(template: string | null): string {
  if (template === null) return 'null';
  return PLAIN.test(template)
    ? `"${template}"`
    : JSON.stringify(template).replace(
        /[^ -~]/g,
        (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`,
      );
}

const PLAIN = /^[ !#-[\]-~]*$/;

/** For ids and words of ours, which hold nothing that JSON escapes. */
const text = (word: string | null) => (word === null ? 'null' : `"${word}"`);

let second = -1;
let secondText = '';

/** `toISOString`, with the second's text kept from the time before. */
export function isoText(ms: number): string {
  const whole = Math.floor(ms);
  const seconds = Math.floor(whole / 1000);
  if (seconds !== second) {
    second = seconds;
    secondText = new Date(seconds * 1000).toISOString().slice(0, 20);
  }
  return `${secondText}${String(whole - seconds * 1000).padStart(3, '0')}Z`;
}
