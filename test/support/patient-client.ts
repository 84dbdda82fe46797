import { setTimeout as sleep } from 'node:timers/promises';
import type { Answer, TestApi } from './api.js';

const DEADLINE_MS = 3_000;
const PAUSE_MS = 25;

/** Asks while the service dies around it, until it is answered with something that speaks about the question. */
export class PatientClient {
  /** Answers that nobody may give. */
  readonly wrong: string[] = [];

  constructor(
    private readonly call: TestApi['call'],
    private readonly token: string,
  ) {}

  /** Posts until the answer is a 2xx, or the one refusal that is wanted. */
  async post(
    path: string,
    body: unknown,
    { wanted = 0, headers = {} }: { wanted?: number; headers?: Record<string, string> } = {},
  ): Promise<Answer> {
    for (;;) {
      const answer = await this.once(path, body, headers);
      if (answer && (answer.status < 300 || answer.status === wanted)) return answer;
      if (answer && answer.status < 500) {
        this.wrong.push(`${path}: ${answer.status} ${JSON.stringify(answer.body)}`);
        return answer;
      }
      await sleep(PAUSE_MS);
    }
  }

  /** Asks once and does not wait for more than the beginning of an answer, as a gateway that dies. */
  async once(path: string, body: unknown, headers: Record<string, string> = {}) {
    const asked = this.call('POST', path, { token: this.token, body, headers });
    return Promise.race([asked.catch(() => null), sleep(DEADLINE_MS, null, { ref: false })]);
  }
}
