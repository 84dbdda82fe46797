import { randomBytes } from 'node:crypto';
import { prefixedId, randomBase62 } from '@core/kernel';
import type { Role } from '@core/identity';
import type { Keyring } from '@io/platform';

/** What a token is for. */
export type TokenGrant =
  | { readonly kind: 'operator'; readonly role: Role }
  | { readonly kind: 'gateway'; readonly gatewayId: string }
  | { readonly kind: 'customer'; readonly customerId: string };

/** A token as it is kept: all but its value. */
export interface TokenView {
  readonly id: string;
  readonly kind: string;
  readonly role: string | null;
  readonly gatewayId: string | null;
  readonly customerId: string | null;
  readonly name: string;
  readonly lastFour: string;
  readonly createdAt: Date;
  readonly expiresAt: Date | null;
  readonly revokedAt: Date | null;
}

/** The columns of `TokenView`. */
export const TOKEN_VIEW = {
  id: true,
  kind: true,
  role: true,
  gatewayId: true,
  customerId: true,
  name: true,
  lastFour: true,
  createdAt: true,
  expiresAt: true,
  revokedAt: true,
} as const;

const PREFIXES = { operator: 'tgo', gateway: 'tgw', customer: 'tgc' } as const;

/** A value for a new token: 238 bits behind a prefix that says whose it is. */
export function newTokenValue({ kind }: TokenGrant): string {
  return `${PREFIXES[kind]}_${randomBase62(40, randomBytes)}`;
}

/** The row of a token, which holds a keyed hash of its value. */
export function tokenRow(
  keyring: Keyring,
  accountId: string,
  grant: TokenGrant,
  { value, name, expiresAt }: { value: string; name: string; expiresAt: Date | null },
) {
  return {
    id: prefixedId('tok', randomBytes),
    accountId,
    kind: grant.kind,
    role: grant.kind === 'operator' ? grant.role : null,
    gatewayId: grant.kind === 'gateway' ? grant.gatewayId : null,
    customerId: grant.kind === 'customer' ? grant.customerId : null,
    name,
    hash: Uint8Array.from(keyring.hash('token-pepper', value)),
    pepperId: keyring.currentId,
    lastFour: value.slice(-4),
    expiresAt,
  };
}
