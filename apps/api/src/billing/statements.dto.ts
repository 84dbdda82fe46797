import { ListOf, OneOf, Text } from '@io/platform';

class StatementKeyView {
  @Text({ max: 64, description: 'The thumbprint of the key (RFC 7638).' })
  kid: string;

  @OneOf(['OKP'])
  kty: string;

  @OneOf(['Ed25519'])
  crv: string;

  @Text({ max: 64, description: 'The public key, base64url (RFC 8037).' })
  x: string;

  @OneOf(['sig'])
  use: string;

  @OneOf(['EdDSA'])
  alg: string;
}

export class StatementKeysView {
  @ListOf(() => StatementKeyView, { max: 1_000, description: 'The one that signs now first.' })
  keys: StatementKeyView[];
}
