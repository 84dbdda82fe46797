import { COST_MAX } from './check-request.js';
import { Fields, readWhole, toByteString } from './wire.js';

/** What one descriptor asks about. */
export interface DescribedCall {
  readonly apiKey: string | null;
  readonly apiId: string;
  readonly stage: string;
  readonly method: string;
  readonly path: string | undefined;
  readonly resourcePath: string | undefined;
  readonly sourceIp: string | null;
  readonly cost: number;
}

/** Fields of `envoy.service.ratelimit.v3`, by their numbers in rls.proto and ratelimit.proto. */
const REQUEST = { descriptors: 2, hitsAddend: 3 };
const DESCRIPTOR = { entries: 1, hitsAddend: 3 };
const ENTRY = { key: 1, value: 2 };
const UINT64_VALUE = { value: 1 };

/** More descriptors than any configuration has; each is a decision. */
const DESCRIPTORS_MAX = 64;

/**
 * Reads a `RateLimitRequest`: its descriptors in their order, null for one that cannot be believed (an entry twice, no
 * method or path, a cost above a million). Entries with other names are left alone. No message at all, and too many
 * descriptors, are null.
 */
export function readRateLimitRequest(bytes: Buffer): (DescribedCall | null)[] | null {
  const descriptors: Descriptor[] = [];
  let hits = 1;
  const isMessage = readWhole(() => {
    const fields = new Fields(toByteString(bytes));
    while (fields.next()) {
      if (fields.number === REQUEST.descriptors) descriptors.push(new Descriptor(fields));
      else if (fields.number === REQUEST.hitsAddend && fields.value > 0) hits = fields.value;
    }
  });
  if (!isMessage || descriptors.length > DESCRIPTORS_MAX) return null;
  return descriptors.map((descriptor) => descriptor.call(hits));
}

/** The entries of one descriptor. `remote_address` is what Envoy's own action of that name calls the address. */
class Descriptor {
  private apiKey: string | undefined;
  private api: string | undefined;
  private stage: string | undefined;
  private method: string | undefined;
  private path: string | undefined;
  private resourcePath: string | undefined;
  private sourceIp: string | undefined;
  private hits: number | undefined;
  private isTwice = false;

  /** Reads it out of the field at hand. */
  constructor(fields: Fields) {
    const outer = fields.enter();
    while (fields.next()) {
      if (fields.number === DESCRIPTOR.entries) this.readEntry(fields);
      else if (fields.number === DESCRIPTOR.hitsAddend) this.hits = readUint64(fields);
    }
    fields.leave(outer);
  }

  private readEntry(fields: Fields): void {
    let key = '';
    let value = '';
    const outer = fields.enter();
    while (fields.next()) {
      if (fields.number === ENTRY.key) key = keyOf(fields);
      else if (fields.number === ENTRY.value) value = fields.text();
    }
    fields.leave(outer);
    switch (key) {
      case 'api_key':
        this.apiKey = this.once(this.apiKey, value);
        break;
      case 'api':
        this.api = this.once(this.api, value);
        break;
      case 'stage':
        this.stage = this.once(this.stage, value);
        break;
      case 'method':
        this.method = this.once(this.method, value);
        break;
      case 'path':
        this.path = this.once(this.path, value);
        break;
      case 'resource_path':
        this.resourcePath = this.once(this.resourcePath, value);
        break;
      case 'source_ip':
      case 'remote_address':
        this.sourceIp = this.once(this.sourceIp, value);
        break;
    }
  }

  private once(before: string | undefined, value: string): string {
    this.isTwice ||= before !== undefined;
    return value;
  }

  call(hitsOfRequest: number): DescribedCall | null {
    const { apiKey, api, stage, method, path, resourcePath } = this;
    const cost = this.hits ?? hitsOfRequest;
    if (this.isTwice || cost > COST_MAX) return null;
    if (!api || !stage || !method || (!path && !resourcePath)) return null;
    return {
      apiKey: apiKey ?? null,
      apiId: api,
      stage,
      method,
      path,
      resourcePath,
      sourceIp: this.sourceIp ?? null,
      cost,
    };
  }
}

/** The keys of entries that are read, no two of one length. */
const KEYS = [
  'api_key',
  'api',
  'stage',
  'method',
  'path',
  'resource_path',
  'source_ip',
  'remote_address',
];
const KEY_OF_LENGTH = Array.from({ length: 15 }, (_, length) =>
  KEYS.find((key) => key.length === length),
);

/** The key at hand, where it is one that is read, else ''; no text is made of it. */
function keyOf(fields: Fields): string {
  const key = KEY_OF_LENGTH[fields.length];
  return key !== undefined && fields.is(key) ? key : '';
}

function readUint64(fields: Fields): number {
  let value = 0;
  const outer = fields.enter();
  while (fields.next()) if (fields.number === UINT64_VALUE.value) value = fields.value;
  fields.leave(outer);
  return value;
}
