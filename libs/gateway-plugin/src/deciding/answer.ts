import type { Judgement } from './decision.js';

/** What the client of a refused call gets, in Amazon API Gateway's words. */
export interface Refusal {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** The refusal that a decision asks for. */
export function refusalOf(decision: Judgement): Refusal {
  const body = JSON.stringify({ message: decision.message ?? 'Forbidden' });
  return {
    status: decision.status,
    headers: {
      'Content-Type': 'application/json',
      'Content-Length': String(Buffer.byteLength(body)),
      ...decision.headers(),
    },
    body,
  };
}
