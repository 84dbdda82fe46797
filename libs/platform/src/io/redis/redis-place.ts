/** Where a Redis is, and of which kind. */
export type RedisPlace =
  | { readonly kind: 'alone'; readonly url: string }
  | { readonly kind: 'cluster'; readonly urls: readonly string[] }
  | {
      readonly kind: 'sentinel';
      readonly sentinels: readonly { readonly host: string; readonly port: number }[];
      /** What the Sentinels call the primary. */
      readonly primary: string;
      readonly username: string | null;
      readonly password: string | null;
      readonly isTls: boolean;
    };

const PORT = 6379;
const SENTINEL_PORT = 26_379;

/**
 * Reads `REDIS_URL`, or answers what is wrong with it.
 *
 *     redis://[user:password@]host:6379[/db]                   one server; rediss:// for TLS
 *     redis://…,redis://…                                      nodes of a Redis Cluster, of which one has to answer
 *     redis-sentinel://[user:password@]host:26379/mymaster,…   Sentinels, and what they call the primary
 */
export function parseRedisPlace(text: string): RedisPlace | string {
  const parts = text.split(',').map((part) => part.trim());
  const urls = parts.filter((part) => URL.canParse(part)).map((part) => new URL(part));
  const [first] = urls;
  const isOneKind = urls.length === parts.length && urls.every((url) => url.host !== '');
  if (!first || !isOneKind || urls.some((url) => url.protocol !== first.protocol)) {
    return 'must be a URL that starts with redis://, rediss:// or redis-sentinel://, or several of one kind, separated by commas.';
  }
  switch (first.protocol) {
    case 'redis:':
    case 'rediss:':
      return urls.length === 1
        ? { kind: 'alone', url: first.href }
        : { kind: 'cluster', urls: urls.map((url) => url.href) };
    case 'redis-sentinel:':
    case 'rediss-sentinel:': {
      const primary = decodeURIComponent(first.pathname.slice(1));
      if (primary === '') return 'must name the primary: redis-sentinel://host:26379/mymaster';
      return {
        kind: 'sentinel',
        sentinels: urls.map((url) => ({
          host: hostOf(url),
          port: Number(url.port || SENTINEL_PORT),
        })),
        primary,
        ...credentialsOf(first),
        isTls: first.protocol === 'rediss-sentinel:',
      };
    }
    default:
      return 'must start with redis://, rediss:// or redis-sentinel://.';
  }
}

/** What a client of the Cluster needs of one of its nodes. */
export function clusterNode(href: string) {
  const url = new URL(href);
  return { host: hostOf(url), port: Number(url.port || PORT), ...credentialsOf(url) };
}

function credentialsOf(url: URL) {
  return {
    username: decodeURIComponent(url.username) || null,
    password: decodeURIComponent(url.password) || null,
  };
}

/** An IPv6 address stands in brackets in a URL only. */
const hostOf = (url: URL) => url.hostname.replace(/^\[|\]$/g, '');
