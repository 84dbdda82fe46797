import {
  createCipheriv,
  createDecipheriv,
  createHmac,
  createPrivateKey,
  createPublicKey,
  hash,
  hkdfSync,
  randomBytes,
  sign,
  type KeyObject,
} from 'node:crypto';
import { Injectable } from '@nestjs/common';
import { Config } from '../config/config.js';

/** What a derived key is for; a key of one purpose is worth nothing for another. */
type Purpose = 'kek' | 'key-pepper' | 'token-pepper' | 'cursor' | 'statement';

const PURPOSES: readonly Purpose[] = ['kek', 'key-pepper', 'token-pepper', 'cursor', 'statement'];

/** The public half of a key that documents are signed with, as RFC 8037 has it. */
export interface VerificationKey {
  /** The thumbprint of the key (RFC 7638). */
  readonly kid: string;
  readonly kty: 'OKP';
  readonly crv: 'Ed25519';
  readonly x: string;
}

/** PKCS #8 of an Ed25519 key, up to its 32 bytes. */
const ED25519_PKCS8 = Buffer.from('302e020100300506032b657004220420', 'hex');

/** Where a sealed value stands; it opens nowhere else. */
export interface SealedPlace {
  readonly table: string;
  readonly column: string;
  readonly accountId: string;
  readonly rowId: string;
}

const VERSION = 1;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const DEK_BYTES = 32;
const WRAPPED_BYTES = NONCE_BYTES + DEK_BYTES + TAG_BYTES;

/**
 * Keys derived from the root secret by HKDF-SHA-256: peppers for look-up hashes, and the key-encryption key that
 * seals readable secrets. Envelope: 0x01 | keyIdLength | keyId | wrapped DEK | nonce | ciphertext | tag.
 */
@Injectable()
export class Keyring {
  private readonly derived = new Map<string, Buffer>();
  readonly currentId: string;
  private readonly ids: readonly string[];

  constructor(config: Config) {
    for (const { id, key } of config.rootKeys) {
      for (const purpose of PURPOSES) {
        this.derived.set(
          `${purpose}/${id}`,
          Buffer.from(hkdfSync('sha256', key, 'tollgate', purpose, 32)),
        );
      }
    }
    this.ids = config.rootKeys.map((key) => key.id);
    this.currentId = this.ids[0] ?? '';
  }

  /** HMAC-SHA-256 of a secret under the current pepper: what the database keeps to find it by. */
  hash(purpose: 'key-pepper' | 'token-pepper', secret: string): Buffer {
    return createHmac('sha256', this.key(purpose, this.currentId)).update(secret).digest();
  }

  /** The hashes a secret may be stored under, one per live pepper, the current one first. */
  hashes(purpose: 'key-pepper' | 'token-pepper', secret: string): Buffer[] {
    return this.ids.map((id) =>
      createHmac('sha256', this.key(purpose, id)).update(secret).digest(),
    );
  }

  /** A keyed digest for values that come back from outside, such as cursors. */
  sign(purpose: 'cursor', text: string): Buffer {
    return createHmac('sha256', this.key(purpose, this.currentId)).update(text).digest();
  }

  /** The keys that signatures under the live root keys are checked with, the current one first. */
  verificationKeys(): VerificationKey[] {
    return this.ids.map((id) => verificationKey(this.signingKey(id)));
  }

  /** Signs bytes under the current root key by Ed25519: the same bytes have the same signature. */
  signDocument(bytes: Uint8Array): Buffer {
    return sign(null, bytes, this.signingKey(this.currentId));
  }

  private signingKey(id: string): KeyObject {
    const key = Buffer.concat([ED25519_PKCS8, this.key('statement', id)]);
    return createPrivateKey({ key, format: 'der', type: 'pkcs8' });
  }

  /** Seals a text so that it opens only at this place. */
  seal(text: string, place: SealedPlace): Uint8Array<ArrayBuffer> {
    const id = Buffer.from(this.currentId);
    const dek = randomBytes(DEK_BYTES);
    const aad = placeBytes(place, this.currentId);
    return Uint8Array.from(
      Buffer.concat([
        Buffer.from([VERSION, id.length]),
        id,
        encrypt(this.key('kek', this.currentId), dek, aad),
        encrypt(dek, Buffer.from(text, 'utf8'), aad),
      ]),
    );
  }

  /** Opens what `seal` made. Throws when it was changed, moved, or its root key is gone. */
  open(sealed: Uint8Array, place: SealedPlace): string {
    const bytes = Buffer.from(sealed);
    const idLength = bytes[1] ?? 0;
    if (bytes[0] !== VERSION) throw new Error('A sealed value has an unknown version.');
    const id = bytes.subarray(2, 2 + idLength).toString();
    const aad = placeBytes(place, id);
    const wrapped = bytes.subarray(2 + idLength, 2 + idLength + WRAPPED_BYTES);
    const dek = decrypt(this.key('kek', id), wrapped, aad);
    return decrypt(dek, bytes.subarray(2 + idLength + WRAPPED_BYTES), aad).toString('utf8');
  }

  private key(purpose: Purpose, id: string): Buffer {
    const key = this.derived.get(`${purpose}/${id}`);
    if (!key) throw new Error(`The root secret no longer holds the key "${id}".`);
    return key;
  }
}

function verificationKey(key: KeyObject): VerificationKey {
  const { x = '' } = createPublicKey(key).export({ format: 'jwk' });
  const thumbprint = hash('sha256', `{"crv":"Ed25519","kty":"OKP","x":"${x}"}`, 'base64url');
  return { kid: thumbprint, kty: 'OKP', crv: 'Ed25519', x };
}

function placeBytes({ table, column, accountId, rowId }: SealedPlace, keyId: string): Buffer {
  return Buffer.from([table, column, accountId, rowId, keyId].join('|'));
}

function encrypt(key: Buffer, plain: Buffer, aad: Buffer): Buffer {
  const nonce = randomBytes(NONCE_BYTES);
  const cipher = createCipheriv('aes-256-gcm', key, nonce, { authTagLength: TAG_BYTES }).setAAD(
    aad,
  );
  return Buffer.concat([nonce, cipher.update(plain), cipher.final(), cipher.getAuthTag()]);
}

/** Nothing is handed out before the tag is checked; a tag of another length is refused. */
function decrypt(key: Buffer, sealed: Buffer, aad: Buffer): Buffer {
  const nonce = sealed.subarray(0, NONCE_BYTES);
  const tag = sealed.subarray(sealed.length - TAG_BYTES);
  const decipher = createDecipheriv('aes-256-gcm', key, nonce, { authTagLength: TAG_BYTES });
  decipher.setAAD(aad).setAuthTag(tag);
  const plain = decipher.update(sealed.subarray(NONCE_BYTES, sealed.length - TAG_BYTES));
  return Buffer.concat([plain, decipher.final()]);
}
