import { Injectable } from '@nestjs/common';
import { Database, Keyring, type VerificationKey } from '@io/platform';

/** The public keys of statements. */
@Injectable()
export class StatementKeysRepository {
  constructor(
    private readonly db: Database,
    private readonly keyring: Keyring,
  ) {}

  /** The key that is signed with now. It is known for ever before anything is signed with it. */
  async current(): Promise<VerificationKey> {
    const [key] = this.keyring.verificationKeys();
    if (!key) throw new Error('There is no root key to sign with.');
    await this.db.$executeRaw`
      INSERT INTO statement_key (id, public_key) VALUES (${key.kid}, ${key.x}) ON CONFLICT DO NOTHING`;
    return key;
  }

  /** Every key that was ever signed with, and those that would be; the newest first. */
  async all(): Promise<VerificationKey[]> {
    const live = this.keyring.verificationKeys();
    const rows = await this.db.statementKey.findMany({
      where: { id: { notIn: live.map(({ kid }) => kid) } },
      orderBy: [{ createdAt: 'desc' }, { id: 'asc' }],
    });
    const past = rows.map(({ id: kid, publicKey: x }): VerificationKey => ({
      kid,
      kty: 'OKP',
      crv: 'Ed25519',
      x,
    }));
    return [...live, ...past];
  }
}
