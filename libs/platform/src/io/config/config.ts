import { readFileSync } from 'node:fs';
import { isAbsolute } from 'node:path';
import { Injectable } from '@nestjs/common';
import { joinRanges, parseIpRange, type IpRange } from '@core/kernel';
import { parseRedisPlace, type RedisPlace } from '../redis/redis-place.js';
import { parseKeys, type RootKey } from '../security/root-keys.js';

/** Settings that the process cannot start with; every fault is listed, one a line. */
export class InvalidSettings extends Error {
  constructor(readonly faults: readonly string[]) {
    super(`The settings are not right:\n${faults.map((fault) => `  - ${fault}`).join('\n')}`);
  }
}

type Environment = Readonly<Record<string, string | undefined>>;

/** A record may be 13 months old when it comes, and then hours of its period are read and added to again. */
const USAGE_DAYS_MIN = 400;
const MIB = 1024 * 1024;

/** Names that start with TOLLGATE_ and mean something; any other is a slip of the pen and refused. */
const KNOWN = new Set([
  'TOLLGATE_HOME',
  'TOLLGATE_SECRET',
  'TOLLGATE_OPERATOR_TOKEN',
  'TOLLGATE_ACCESS_KEY_ID',
  'TOLLGATE_SECRET_ACCESS_KEY',
  'TOLLGATE_GATEWAY_TOKEN',
  'TOLLGATE_METRICS_TOKEN',
  'TOLLGATE_DEMO',
  'TOLLGATE_LOG_LEVEL',
  'TOLLGATE_USAGE_DAYS',
  'TOLLGATE_DECISION_DAYS',
  'TOLLGATE_USAGE_DRY_RUN',
  'TOLLGATE_USAGE_INTAKE_MIB',
  'TOLLGATE_EXPORT_ROOT',
]);

/** Where requests may go whose URL a tenant named: public addresses, and what an operator adds. */
export interface EgressRules {
  /** Private blocks that may be reached all the same; joined. */
  readonly allowed: readonly IpRange[];
  readonly allowsHttp: boolean;
  readonly ports: readonly number[] | 'any';
  /** Of this service, its database and its Redis: not to be reached at a private address. */
  readonly ownPorts: readonly number[];
}

export interface EmailSettings {
  /** Null: messages are written as files. */
  readonly smtpUrl: string | null;
  readonly from: string;
}

/** Other hosts in place of AWS Marketplace's, for tests; null: AWS. Credentials are where its SDK looks for them. */
export interface AwsMarketplaceSettings {
  readonly endpoint: string | null;
  /** Whether notifications that are signed over SHA-1 are taken, as topics of AWS sign by default. */
  readonly takesSha1: boolean;
}

/**
 * The settings of a process, read from the environment once, checked together and frozen.
 * `.env.example` lists them all. `NAME_FILE` may name a file that holds the value of a secret `NAME`.
 */
@Injectable()
export class Config {
  readonly port: number;
  readonly host: string;
  /** Where Envoy asks over gRPC; null when nobody does. */
  readonly grpcPort: number | null;
  readonly databaseUrl: string;
  /** Where queues and the truth about rates are; null: in Postgres, and in the memory of each process. */
  readonly redis: RedisPlace | null;
  readonly rootKeys: readonly RootKey[];
  readonly operatorToken: string | null;
  readonly accessKey: { readonly id: string; readonly secret: string } | null;
  readonly gatewayToken: string | null;
  /** Null: there are no metrics to be had. */
  readonly metricsToken: string | null;
  readonly demo: boolean;
  /** Proxies before the gateway, whose own entries in X-Forwarded-For are believed; joined. */
  readonly trustedProxies: readonly IpRange[];
  /** How long usage records are kept, at least, in whole days; 0 for ever. */
  readonly usageDays: number;
  /** How long counts of allowed calls are kept, likewise. */
  readonly decisionDays: number;
  /** Whether what is old is only told of, not dropped. */
  readonly isUsageDryRun: boolean;
  /** How many bytes of usage may have come and not be stored yet. */
  readonly usageIntakeBytes: number;
  readonly logLevel: 'debug' | 'info' | 'warn' | 'error' | 'silent';
  /** The folder of what the service keeps beside the database. */
  readonly home: string;
  /** The folder that exports may be written below, each account's in one of its own; null: none may. */
  readonly exportRoot: string | null;
  /** Where requests may go whose URL a tenant named. */
  readonly egress: EgressRules;
  readonly email: EmailSettings;
  readonly awsMarketplace: AwsMarketplaceSettings;
  /** Where Stripe is. */
  readonly stripeApiBase: URL;

  constructor(environment: Environment) {
    const faults: string[] = [];
    const read = settingsReader(environment, faults);

    for (const name of Object.keys(environment)) {
      if (name.startsWith('TOLLGATE_') && !KNOWN.has(name.replace(/_FILE$/, ''))) {
        faults.push(`${name} is not a setting of Tollgate; see .env.example.`);
      }
    }
    this.port = read.integer('PORT', { otherwise: 3000, min: 0, max: 65_535 });
    this.host = read.text('HOST') ?? '127.0.0.1';
    const grpcPort = read.integer('GRPC_PORT', { otherwise: -1, min: 0, max: 65_535 });
    this.grpcPort = grpcPort < 0 ? null : grpcPort;
    this.databaseUrl = read.url('DATABASE_URL', ['postgresql:', 'postgres:']) ?? '';
    if (read.text('DATABASE_URL') === null) {
      faults.push(
        'DATABASE_URL is missing: name a PostgreSQL server, or run `npm start`, which brings its own.',
      );
    }
    this.redis = this.readRedis(read.text('REDIS_URL'), faults);
    this.rootKeys = this.readRootKeys(read.text('TOLLGATE_SECRET'), faults);
    this.operatorToken = read.secret('TOLLGATE_OPERATOR_TOKEN', 16);
    this.gatewayToken = read.secret('TOLLGATE_GATEWAY_TOKEN', 16);
    this.metricsToken = read.secret('TOLLGATE_METRICS_TOKEN', 16);
    const accessKeyId = read.secret('TOLLGATE_ACCESS_KEY_ID', 16);
    const secretAccessKey = read.secret('TOLLGATE_SECRET_ACCESS_KEY', 16);
    if ((accessKeyId === null) !== (secretAccessKey === null)) {
      faults.push(
        'TOLLGATE_ACCESS_KEY_ID and TOLLGATE_SECRET_ACCESS_KEY go together: set both or neither.',
      );
    }
    this.accessKey =
      accessKeyId && secretAccessKey ? { id: accessKeyId, secret: secretAccessKey } : null;
    this.demo = read.oneOf('TOLLGATE_DEMO', ['on', 'off'], 'off') === 'on';
    this.trustedProxies = read.ranges('TRUSTED_PROXIES', 'would believe every client');
    this.home = read.text('TOLLGATE_HOME') ?? '.tollgate';
    this.exportRoot = read.text('TOLLGATE_EXPORT_ROOT');
    if (this.exportRoot !== null && !isAbsolute(this.exportRoot))
      faults.push('TOLLGATE_EXPORT_ROOT must be an absolute path.');
    this.egress = this.readEgress(read);
    this.email = {
      smtpUrl: read.url('SMTP_URL', ['smtp:', 'smtps:']),
      from: read.text('EMAIL_FROM') ?? 'Tollgate <tollgate@localhost>',
    };
    const keptDays = (name: string, otherwise: number) => {
      const days = read.integer(name, { otherwise, min: 0, max: 36_500 });
      if (days > 0 && days < USAGE_DAYS_MIN)
        faults.push(`${name} must be 0, which keeps them for ever, or at least ${USAGE_DAYS_MIN}.`);
      return days;
    };
    this.usageDays = keptDays('TOLLGATE_USAGE_DAYS', 0);
    this.decisionDays = keptDays('TOLLGATE_DECISION_DAYS', USAGE_DAYS_MIN);
    this.awsMarketplace = {
      endpoint: read.url('AWS_MARKETPLACE_ENDPOINT', ['https:', 'http:']),
      takesSha1: read.oneOf('AWS_SNS_OLD_SIGNATURES', ['on', 'off'], 'off') === 'on',
    };
    const stripe = read.url('STRIPE_API_BASE', ['https:', 'http:']) ?? '';
    this.stripeApiBase = new URL(URL.canParse(stripe) ? stripe : 'https://api.stripe.com');
    this.isUsageDryRun = read.oneOf('TOLLGATE_USAGE_DRY_RUN', ['on', 'off'], 'off') === 'on';
    const intakeMib = { otherwise: 32, min: 16, max: 65_536 };
    this.usageIntakeBytes = read.integer('TOLLGATE_USAGE_INTAKE_MIB', intakeMib) * MIB;
    this.logLevel = read.oneOf(
      'TOLLGATE_LOG_LEVEL',
      ['debug', 'info', 'warn', 'error', 'silent'],
      'info',
    );

    if (/[\r\n]/.test(this.email.from)) faults.push('EMAIL_FROM must be one line.');

    if (faults.length > 0) throw new InvalidSettings(faults);
    Object.freeze(this);
  }

  /** Reads the environment of this process; the only place that does. */
  static fromEnvironment(): Config {
    return new Config(process.env);
  }

  private readEgress(read: ReturnType<typeof settingsReader>): EgressRules {
    const allowsHttp = read.oneOf('EGRESS_ALLOW_HTTP', ['on', 'off'], 'off') === 'on';
    const database = URL.canParse(this.databaseUrl) ? new URL(this.databaseUrl).port : '';
    const ownPorts = [this.port, Number(database || 5432), ...redisPorts(this.redis)];
    if (this.grpcPort !== null) ownPorts.push(this.grpcPort);
    return {
      allowed: read.ranges('EGRESS_ALLOW_CIDRS', 'would open every private network'),
      allowsHttp,
      ports: read.ports('EGRESS_PORTS', allowsHttp ? [443, 8443, 80] : [443, 8443]),
      ownPorts,
    };
  }

  private readRedis(value: string | null, faults: string[]): RedisPlace | null {
    if (value === null) return null;
    const place = parseRedisPlace(value);
    if (typeof place !== 'string') return place;
    faults.push(`REDIS_URL ${place}`);
    return null;
  }

  private readRootKeys(value: string | null, faults: string[]): RootKey[] {
    if (value === null) {
      faults.push(
        'TOLLGATE_SECRET is missing: generate one with `openssl rand -base64 32` and keep it safe.',
      );
      return [];
    }
    const keys = parseKeys(value);
    if (typeof keys === 'string') {
      faults.push(`TOLLGATE_SECRET ${keys}`);
      return [];
    }
    return keys;
  }
}

/** The ports of the servers that are named; a primary behind Sentinels is taken to be at the usual one. */
function redisPorts(place: RedisPlace | null): number[] {
  switch (place?.kind) {
    case 'alone':
      return [Number(new URL(place.url).port || 6379)];
    case 'cluster':
      return place.urls.map((url) => Number(new URL(url).port || 6379));
    case 'sentinel':
      return [6379, ...place.sentinels.map(({ port }) => port)];
    case undefined:
      return [];
  }
}

function settingsReader(environment: Environment, faults: string[]) {
  const text = (name: string): string | null => {
    const file = environment[`${name}_FILE`];
    if (file) {
      try {
        return readFileSync(file, 'utf8').trim();
      } catch {
        faults.push(`${name}_FILE names a file that cannot be read.`);
        return null;
      }
    }
    const value = environment[name]?.trim();
    return value ? value : null;
  };
  return {
    text,
    integer(
      name: string,
      { otherwise, min, max }: { otherwise: number; min: number; max: number },
    ): number {
      const value = text(name);
      if (value === null) return otherwise;
      const number = /^\d+$/.test(value) ? Number(value) : Number.NaN;
      if (number >= min && number <= max) return number;
      faults.push(`${name} must be a whole number from ${min} to ${max}.`);
      return otherwise;
    },
    url(name: string, protocols: readonly string[]): string | null {
      const value = text(name);
      if (value === null) return null;
      const isUrl = URL.canParse(value) && protocols.includes(new URL(value).protocol);
      if (!isUrl) faults.push(`${name} must be a URL that starts with ${protocols[0]}//`);
      return value;
    },
    /** Blocks of addresses, separated by commas. How many proxies there are says nothing of who wrote an entry. */
    ranges(name: string, everySays: string): IpRange[] {
      const ranges = (text(name)?.split(',') ?? []).flatMap((entry) => {
        const range = parseIpRange(entry.trim());
        if (typeof range === 'string') faults.push(`${name}: "${entry.trim()}" ${range}.`);
        else if (entry.trim().endsWith('/0'))
          faults.push(`${name}: "${entry.trim()}" ${everySays}.`);
        else return [range];
        return [];
      });
      return joinRanges(ranges);
    },
    /** Numbers of ports, separated by commas, or `any`. */
    ports(name: string, otherwise: readonly number[]): readonly number[] | 'any' {
      const value = text(name);
      if (value === null || value === 'any') return value ?? otherwise;
      const ports = value.split(',').map((port) => Number(port.trim() || 'none'));
      if (ports.every((port) => Number.isInteger(port) && port > 0 && port < 65_536)) return ports;
      faults.push(`${name} must be ports separated by commas, or any.`);
      return otherwise;
    },
    secret(name: string, lengthMin: number): string | null {
      const value = text(name);
      if (value === null || value.length >= lengthMin) return value;
      faults.push(`${name} must have at least ${lengthMin} characters.`);
      return null;
    },
    oneOf<const T extends string>(name: string, allowed: readonly T[], otherwise: T): T {
      const value = text(name);
      if (value === null) return otherwise;
      const known = allowed.find((word) => word === value);
      if (known === undefined) faults.push(`${name} must be one of: ${allowed.join(', ')}.`);
      return known ?? otherwise;
    },
  };
}
