import { refusalAnswer } from '@core/limits';
import type { Decision } from '@io/limits';
import { ownText } from '@io/platform';

/** The JSON text of a decision. Written by hand, since a general serialiser takes longer than the decision. */
export function decisionJson(decision: Decision): string {
  const { subject, rate, quota } = decision;
  let json = `{"allowed":${decision.allowed},"decisionId":"${decision.decisionId}"`;
  if (decision.reason !== null) {
    const { status, message, errorType } = refusalAnswer(decision.reason);
    json += `,"reason":"${decision.reason}","level":${text(decision.level)},"status":${status},"message":"${message}","errorType":"${errorType}","retryAfterMs":${decision.retryAfterMs}`;
  }
  json += subject ? (subject.json ??= subjectJson(subject)) : subjectJson(decision);
  json += rate
    ? `${rateHead(rate.limit)}${rate.remaining},"resetsAt":"${isoText(rate.resetsAtMs)}"}`
    : ',"rate":null';
  json += quota
    ? `${quotaHead(quota.limit)}${quota.remaining}${quotaTail(quota.resetsAt)}`
    : ',"quota":null';
  if (decision.shadowed !== null) json += `,"shadowed":"${decision.shadowed}"`;
  return `${json}}`;
}

/** What stands around the numbers that change, kept from the time before: calls that come together are mostly of one plan. */
const rateHead = kept((limit: number) => `,"rate":{"limit":${limit},"remaining":`);
const quotaHead = kept((limit: number) => `,"quota":{"limit":${limit},"remaining":`);
const quotaTail = kept((resetsAt: string) => `,"resetsAt":"${resetsAt}"}`);

function kept<Of>(textOf: (of: Of) => string): (of: Of) => string {
  let last: Of | null = null;
  let made = '';
  return (of) => {
    if (of === last) return made;
    last = of;
    return (made = ownText(textOf(of)));
  };
}

/** Of whom and what a decision is, as members that follow others. */
function subjectJson({
  keyId,
  customerId,
  usagePlanId,
  resourcePath,
}: Pick<Decision, 'keyId' | 'customerId' | 'usagePlanId' | 'resourcePath'>): string {
  const ids = `"keyId":${text(keyId)},"customerId":${text(customerId)},"usagePlanId":${text(usagePlanId)}`;
  return ownText(`,${ids},"resourcePath":${templateJson(resourcePath)}`);
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
let last = NaN;
let lastText = '';

/** `toISOString`, with the second's text kept from the time before, and the whole where it is the same instant. */
export function isoText(ms: number): string {
  const whole = Math.floor(ms);
  if (whole === last) return lastText;
  const seconds = Math.floor(whole / 1000);
  if (seconds !== second) {
    second = seconds;
    secondText = new Date(seconds * 1000).toISOString().slice(0, 20);
  }
  last = whole;
  return (lastText = `${secondText}${String(whole - seconds * 1000).padStart(3, '0')}Z`);
}
