import { describe, expect, it } from 'vitest';
import { withoutSecrets } from './telemetry.js';

describe('withoutSecrets', () => {
  it.each([
    'tg_live_0123456789012345678901234567_abcdef',
    'tgo_0123456789012345678901234567890123456789',
    'Bearer abc.def',
    'AKIAABCDEFGHIJKLMNOP',
    'sk_live_abcdef',
  ])('takes %s out of a line', (secret) => {
    expect(withoutSecrets(`{"msg":"x ${secret} y"}`)).toBe('{"msg":"x [secret] y"}');
  });

  it('takes the password out of a URL and leaves the rest', () => {
    expect(withoutSecrets('connect postgresql://me:hunter2@db:5432/x failed')).toBe(
      'connect postgresql://me:[secret]@db:5432/x failed',
    );
  });
});
