import { beforeAll, describe, expect, it } from 'vitest';
import { startApi, type TestApi } from '../support/api.js';
import { controlPlane } from '../support/control-plane.js';

const DAY = 86_400_000;

let api: TestApi;
let make: ReturnType<typeof controlPlane>;
beforeAll(async () => {
  api = await startApi();
  make = controlPlane(api);
});

const at = (ms: number) => new Date(ms).toISOString();
const move = (token: string, now: string) =>
  api.call('POST', '/v1/test-clock', { token, body: { now } });
const read = async (token: string) =>
  Date.parse((await api.call('GET', '/v1/test-clock', { token })).body.now);

describe('POST /v1/test-clock', () => {
  it('200: moves the account forward, and the clock ticks on from there', async () => {
    const { token } = await make.account();
    const target = Date.now() + 40 * DAY;
    expect(await move(token, at(target))).toMatchObject({ status: 200, body: { now: at(target) } });
    const first = await read(token);
    expect(first).toBeGreaterThanOrEqual(target);
    await expect.poll(() => read(token)).toBeGreaterThan(first);
  });

  it('200: moves nobody else', async () => {
    const { token } = await make.account();
    await move(token, at(Date.now() + 400 * DAY));
    expect(await read(api.ownerToken)).toBeLessThan(Date.now() + DAY);
  });

  it('200: lets security go by the real time', async () => {
    const { token } = await make.account();
    const { value } = await controlPlane(api, token).operatorToken('read-only');
    await api.call('POST', '/v1/tokens', {
      token,
      body: { name: 'short', role: 'support', expiresAt: at(Date.now() + DAY) },
    });
    await move(token, at(Date.now() + 30 * DAY));
    expect((await api.call('GET', '/v1/apis', { token: value })).status).toBe(200);
    const tomorrow = await api.call('POST', '/v1/tokens', {
      token,
      body: { name: 'short', role: 'support', expiresAt: at(Date.now() + DAY) },
    });
    expect(tomorrow.status).toBe(201);
  });

  it.each([
    { target: () => at(Date.now() - 1000), why: 'a clock moves only forward' },
    { target: () => at(Date.now() + 3 * 366 * DAY), why: 'it is more than two years ahead' },
    { target: () => '2026-02-30T00:00:00Z', why: 'there is no such day' },
    { target: () => '99999-01-01T00:00:00Z', why: 'there is no such year here' },
  ])('400: names /now: $why', async ({ target }) => {
    const { token } = await make.account();
    const { status, body } = await move(token, target());
    expect(status).toBe(400);
    expect(body.errors[0].pointer).toBe('/now');
  });

  it('400: not back to where it was before it was moved', async () => {
    const { token } = await make.account();
    await move(token, at(Date.now() + 10 * DAY));
    expect((await move(token, at(Date.now() + 9 * DAY))).status).toBe(400);
  });

  it('409: an account in live mode has the time of the world', async () => {
    const { token } = await make.account('live');
    const { status, body } = await move(token, at(Date.now() + DAY));
    expect(status).toBe(409);
    expect(body.type).toMatch(/not-a-test-account$/);
    expect(await read(token)).toBeLessThan(Date.now() + 1000);
  });

  it('403: support does not move time', async () => {
    const { value: token } = await make.operatorToken('support');
    expect((await move(token, at(Date.now() + DAY))).status).toBe(403);
  });

  it('never goes back, however many move it at once', async () => {
    const { token } = await make.account();
    // In later rounds the connections are open already, so that the moves really meet.
    for (let round = 1; round <= 5; round += 1) {
      const start = Date.now() + round * 30 * DAY;
      const targets = Array.from({ length: 20 }, (_, i) => start + (20 - i) * DAY);
      const answers = await Promise.all(targets.map((target) => move(token, at(target))));
      expect(answers.every(({ status }) => status === 200 || status === 400)).toBe(true);
      expect(await read(token)).toBeGreaterThanOrEqual(Math.max(...targets));
    }
  });
});
