import type { LoggerService } from '@nestjs/common';
import { pino, type Logger } from 'pino';
import type { Config } from './config/config.js';

/** Whatever looks like a key, a token or a secret, wherever it stands in a line. */
const SECRETS =
  /tg[owcr]?_[A-Za-z0-9_]{20,}|whsec_[A-Za-z0-9+/=]+|sk_(?:live|test)_\w+|AKIA\w{16}|Bearer\s+[^\s"]+|(?<=:\/\/[^:/?#\s"]*:)[^@/?#\s"]+(?=@)/g;

/** The text without anything that looks like a secret. */
export function withoutSecrets(text: string): string {
  return text.replace(SECRETS, '[secret]');
}

/** What an error says, for a log line. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : JSON.stringify(error);
}

/** JSON lines on standard output; every line goes through the filter that takes secrets out. */
export function makeLogger(config: Config): Logger {
  return pino(
    {
      level: config.logLevel,
      base: null,
      timestamp: () => `,"time":"${new Date().toISOString()}"`,
      formatters: { level: (label) => ({ level: label }) },
      serializers: {
        req: (request: { id?: unknown; method?: string; routeOptions?: { url?: string } }) => ({
          id: request.id,
          method: request.method,
          route: request.routeOptions?.url,
        }),
        err: (error: Error & { code?: unknown }) => ({
          type: error.name,
          code: error.code,
          message: error.message,
          stack: error.stack,
        }),
      },
    },
    { write: (line: string) => process.stdout.write(withoutSecrets(line)) },
  );
}

/** Nest's own log lines, through the same logger. */
export class NestLogger implements LoggerService {
  constructor(private readonly logger: Logger) {}

  log(message: unknown, context?: unknown): void {
    this.logger.debug({ context }, String(message));
  }

  warn(message: unknown, context?: unknown): void {
    this.logger.warn({ context }, String(message));
  }

  error(message: unknown, ...rest: unknown[]): void {
    const context = rest.at(-1);
    const stack = rest.length > 1 && typeof rest[0] === 'string' ? rest[0] : undefined;
    const error = message instanceof Error ? message : undefined;
    this.logger.error({ context, stack: stack ?? error?.stack }, error?.message ?? String(message));
  }
}
