import { Agent, request } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { controlPlane } from './control-plane.js';
import { GATEWAY_TOKEN, type AppProcess } from './processes.js';

/** What is asked, as the body of `POST /v1/decisions`. */
export type Question = Readonly<Record<string, string>>;

/** What became of a question: null where no answer came. Times in ms of the test's own clock. */
export interface Asked {
  readonly answer: { readonly allowed: boolean; readonly reason?: string } | null;
  readonly sentAtMs: number;
  readonly receivedAtMs: number;
}

/** A call of a new key in a new plan. */
export async function aQuestion(api: AppProcess, plan: Record<string, unknown>): Promise<Question> {
  const create = controlPlane(api.http);
  const apiStage = await create.apiStage();
  const { id: planId } = await create.usagePlan({ apiStages: [apiStage], ...plan });
  const { id, value } = await create.apiKey();
  const body = { keyId: id };
  const { status } = await api.http.call('POST', `/v1/usage-plans/${planId}/keys`, { body });
  if (status !== 201) throw new Error(`The key was not put into the plan: ${status}`);
  return {
    apiKey: String(value),
    ...apiStage,
    method: 'GET',
    path: '/pets',
    sourceIp: '203.0.113.7',
  };
}

/** Connections that stay open, one for each client at each api. */
const agent = new Agent({ keepAlive: true });

/** Asks one api once. An api that was killed answers nothing, and whoever asks it lives with that. */
export function ask({ url }: { readonly url: string }, question: Question): Promise<Asked> {
  const sentAtMs = performance.now();
  return new Promise((resolve) => {
    const end = (answer: Asked['answer']) =>
      resolve({ answer, sentAtMs, receivedAtMs: performance.now() });
    const headers = {
      authorization: `Bearer ${GATEWAY_TOKEN}`,
      'content-type': 'application/json',
    };
    request(`${url}/v1/decisions`, { method: 'POST', agent, headers }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
      response.on('end', () =>
        end(response.statusCode === 200 ? (JSON.parse(text) as Asked['answer']) : null),
      );
      response.on('error', () => end(null));
    })
      .on('error', () => end(null))
      .end(JSON.stringify(question));
  });
}

/**
 * So many clients, each asking one api after the other without a pause, until `isOver`. One that was refused waits a
 * moment, as a real one would; one that was not answered too.
 */
export async function askAll(
  apis: readonly AppProcess[],
  question: Question,
  { clients, isOver }: { clients: number; isOver: (asked: Asked) => boolean },
): Promise<Asked[]> {
  const all: Asked[] = [];
  await Promise.all(
    Array.from({ length: clients }, async (_, client) => {
      for (let turn = client; ; turn += 1) {
        const api = apis[turn % apis.length];
        if (!api) return;
        const asked = await ask(api, question);
        all.push(asked);
        if (isOver(asked)) return;
        if (!asked.answer?.allowed) await sleep(10);
      }
    }),
  );
  return all;
}

/** The same for so long. */
export const askFor = (
  apis: readonly AppProcess[],
  question: Question,
  { clients, forMs }: { clients: number; forMs: number },
): Promise<Asked[]> => {
  const until = performance.now() + forMs;
  return askAll(apis, question, { clients, isOver: () => performance.now() >= until });
};

/** Spends a quota to its end: over when every api has refused for longer than it believes, and blocks came back. */
export async function spend(
  apis: readonly AppProcess[],
  question: Question,
  { clients }: { clients: number },
): Promise<Asked[]> {
  const QUIET_MS = 3_500;
  let lastAllowedMs = performance.now();
  return askAll(apis, question, {
    clients,
    isOver: ({ answer, receivedAtMs }) => {
      if (answer?.allowed) lastAllowedMs = Math.max(lastAllowedMs, receivedAtMs);
      return receivedAtMs - lastAllowedMs > QUIET_MS;
    },
  });
}

export const allowedOf = (asked: readonly Asked[]): Asked[] =>
  asked.filter(({ answer }) => answer?.allowed === true);

/** How many were answered with what, for the message of a test that failed. */
export function summary(asked: readonly Asked[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { answer } of asked) {
    const what = answer === null ? 'no answer' : (answer.reason ?? 'allowed');
    counts[what] = (counts[what] ?? 0) + 1;
  }
  return counts;
}

/**
 * By how much the busiest of all windows is over what it may hold: negative when none is. A call counts into a window only
 * when it was both asked and answered in it, since it was decided somewhere in between.
 */
export function overshoot(asked: readonly Asked[], bound: (windowMs: number) => number): number {
  const bySent = allowedOf(asked).toSorted((a, b) => a.sentAtMs - b.sentAtMs);
  const byReceived = bySent.toSorted((a, b) => a.receivedAtMs - b.receivedAtMs);
  let worst = -Infinity;
  for (const { sentAtMs: from } of bySent) {
    let inWindow = 0;
    for (const { sentAtMs, receivedAtMs } of byReceived) {
      if (sentAtMs < from) continue;
      inWindow += 1;
      worst = Math.max(worst, inWindow - bound(receivedAtMs - from));
    }
  }
  return worst;
}
