import { describe, expect, it } from 'vitest';
import { Config } from '../config/config.js';
import { Keyring } from './keyring.js';

const OLD = `old:${Buffer.from(Array.from({ length: 32 }, (_, i) => i * 7)).toString('base64')}`;
const NEW = `new:${Buffer.from(Array.from({ length: 32 }, (_, i) => i * 5 + 1)).toString('base64')}`;
const keyring = (secret: string) =>
  new Keyring(new Config({ DATABASE_URL: 'postgresql://localhost/x', TOLLGATE_SECRET: secret }));
const PLACE = { table: 'api_key', column: 'sealed', accountId: 'acc_1', rowId: 'k1' };

describe('Keyring', () => {
  it('opens what it sealed, also after a newer root key came in front', () => {
    const sealed = keyring(OLD).seal('tg_live_x', PLACE);
    expect(keyring(`${NEW},${OLD}`).open(sealed, PLACE)).toBe('tg_live_x');
  });

  it('opens nothing that was moved to another row', () => {
    const sealed = keyring(OLD).seal('tg_live_x', PLACE);
    expect(() => keyring(OLD).open(sealed, { ...PLACE, rowId: 'k2' })).toThrow();
  });

  it('opens nothing that was changed in any byte or cut short', () => {
    const sealed = keyring(OLD).seal('tg_live_x', PLACE);
    for (let i = 5; i < sealed.length; i += 1) {
      const changed = Uint8Array.from(sealed);
      changed[i] = (changed[i] ?? 0) ^ 1;
      expect(() => keyring(OLD).open(changed, PLACE)).toThrow();
    }
    expect(() => keyring(OLD).open(sealed.slice(0, -12), PLACE)).toThrow();
  });

  it('finds a secret by each live pepper, the current one first', () => {
    const [byNew, byOld] = keyring(`${NEW},${OLD}`).hashes('key-pepper', 'secret');
    expect(byNew).toEqual(keyring(NEW).hash('key-pepper', 'secret'));
    expect(byOld).toEqual(keyring(OLD).hash('key-pepper', 'secret'));
  });
});
