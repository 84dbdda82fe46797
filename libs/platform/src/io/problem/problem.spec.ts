import { describe, expect, it } from 'vitest';
import { toProblem } from './problem.js';

const anError = (message: string, more: object = {}) => Object.assign(new Error(message), more);

describe('toProblem', () => {
  it.each([
    { error: anError('connect', { code: 'ECONNREFUSED' }), status: 503, why: 'nobody listens' },
    { error: anError('x', { code: '57P01' }), status: 503, why: 'the server is shutting down' },
    { error: anError('x', { code: '57014' }), status: 503, why: 'it did not answer in time' },
    {
      error: anError('timeout exceeded when trying to connect'),
      status: 503,
      why: 'no connection of the pool got free',
    },
    { error: anError('x', { code: 'P1001' }), status: 503, why: 'Prisma cannot reach it' },
    {
      error: anError('x', { cause: anError('Connection terminated unexpectedly') }),
      status: 503,
      why: 'its cause says so',
    },
    { error: anError('x', { code: '23505' }), status: 500, why: 'a broken rule is a bug of ours' },
    { error: anError('x', { statusCode: 415 }), status: 415, why: 'HTTP refuses it' },
    { error: 'text', status: 500, why: 'whatever else is thrown is a bug' },
  ])('answers $status when $why', ({ error, status }) => {
    expect(toProblem(error, 'r')).toMatchObject({ status, instance: 'urn:request:r' });
  });

  it('says nothing of a bug', () => {
    expect(JSON.stringify(toProblem(anError('SELECT secret'), 'r'))).not.toContain('secret');
  });
});
