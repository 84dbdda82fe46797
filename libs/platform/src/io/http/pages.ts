import { Injectable } from '@nestjs/common';
import { timingSafeEqual } from 'node:crypto';
import { InvalidRequest } from '../problem/errors.js';
import { Keyring } from '../security/keyring.js';
import { parseInstant, QueryInt, Text } from './fields.js';

/** `?limit=` and `?cursor=` of every list. */
export class PageQuery {
  @QueryInt({
    min: 1,
    max: 500,
    optional: true,
    description: 'How many at most; 25 when left out.',
  })
  limit?: number;

  @Text({ max: 500, optional: true, description: '`next` of the page before.' })
  cursor?: string;
}

/** One page of a list; `next` is absent on the last one. */
export interface Page<T> {
  readonly items: readonly T[];
  readonly next?: string;
}

/** The place in a list after which a page starts. */
export interface Position {
  readonly createdAt: Date;
  readonly id: string;
}

/** Where to start and how much to read: one more than asked for tells whether there is a next page. */
export interface PageRequest {
  readonly limit: number;
  readonly after: Position | null;
}

const LIMIT_DEFAULT = 25;

/** Cursors are signed and bound to their account and list, so that none can be made up or carried elsewhere. */
@Injectable()
export class Pages {
  constructor(private readonly keyring: Keyring) {}

  /** Reads a page's query; `list` names the account and what is listed, with its filters. */
  request({ limit = LIMIT_DEFAULT, cursor }: PageQuery, list: string): PageRequest {
    return { limit, after: cursor === undefined ? null : this.open(cursor, list) };
  }

  /** Cuts rows read with `limit + 1` to a page. `position` is told where a row's own fields are not its place. */
  page<T extends Position>(rows: readonly T[], request: PageRequest, list: string): Page<T>;
  page<T>(
    rows: readonly T[],
    request: PageRequest,
    list: string,
    position: (row: T) => Position,
  ): Page<T>;
  page<T extends Position>(
    rows: readonly T[],
    { limit }: PageRequest,
    list: string,
    position: (row: T) => Position = (row) => row,
  ): Page<T> {
    const last = rows[limit - 1];
    if (rows.length <= limit || !last) return { items: rows };
    return { items: rows.slice(0, limit), next: this.seal(position(last), list) };
  }

  private seal({ createdAt, id }: Position, list: string): string {
    const text = `${createdAt.toISOString()} ${id}`;
    return `${Buffer.from(text).toString('base64url')}.${this.mac(text, list).toString('base64url')}`;
  }

  private open(cursor: string, list: string): Position {
    const [encoded = '', mac = ''] = cursor.split('.');
    const text = Buffer.from(encoded, 'base64url').toString('utf8');
    const given = Buffer.from(mac, 'base64url');
    const expected = this.mac(text, list);
    const [at = '', id = ''] = text.split(' ');
    const createdAt = parseInstant(at);
    if (given.length !== expected.length || !timingSafeEqual(given, expected) || !createdAt) {
      throw new InvalidRequest([
        { pointer: '/cursor', detail: 'is not the `next` of a page of this list' },
      ]);
    }
    return { createdAt, id };
  }

  private mac(text: string, list: string): Buffer {
    return this.keyring.sign('cursor', `${list}\n${text}`).subarray(0, 16);
  }
}

/** Prisma's where, order and size of a page, newest first. */
export function pageArguments({ limit, after }: PageRequest) {
  return {
    where: after
      ? {
          OR: [
            { createdAt: { lt: after.createdAt } },
            { createdAt: after.createdAt, id: { lt: after.id } },
          ],
        }
      : {},
    orderBy: [{ createdAt: 'desc' as const }, { id: 'desc' as const }],
    take: limit + 1,
  };
}
