import type { IncomingMessage } from 'node:http';
import type { TrustedProxy } from './adapters/client-request.js';
import type { EventListener } from './events.js';
import type { ServiceAddress } from './service/service-client.js';
import type { MeteredProtocol } from './usage/usage.js';

/** How a gateway is connected to Tollgate. */
export interface TollgateOptions extends ServiceAddress {
  readonly apiId: string;
  readonly stage: string;
  /** HTTP APIs are also metered in units of 512 KiB. Default REST. */
  readonly protocol?: MeteredProtocol;
  /** How long a call waits for the service, when it has to be asked. Default 200 ms. */
  readonly deadlineMs?: number;
  /** What happens to a call whose plan is not known while the service is away. Default deny. */
  readonly onFailure?: 'allow' | 'deny';
  /** The proxy in front of this process. Default none: the client is who opened the connection. */
  readonly trustProxy?: TrustedProxy;
  /** The api's own template of a request, such as `/pets/{petId}`. Default: it is found from the path. */
  readonly resourcePath?: (request: IncomingMessage) => string | undefined;
  /** Tells with each usage record which decisions it is made of, so that it is found by their ids: a row in the service for each id or span. Default false. */
  readonly decisionIds?: boolean;
  /** How often usage is sent. Default 1,000 ms. */
  readonly flushIntervalMs?: number;
  /** A folder of this process's own where unsent usage survives a crash. Default none: it is in memory. */
  readonly spoolDir?: string;
  /** Sends the rest of the usage on SIGTERM and then lets the signal do its work. Default false. */
  readonly flushOnSigterm?: boolean;
  /** How long `close()` waits for open calls and unsent usage. Default 5,000 ms. */
  readonly closeTimeoutMs?: number;
  /** Hears of failures. Default: Node process warnings, each kind at most once in 10 s. */
  readonly onEvent?: EventListener;
}

/** Throws a `TypeError` that names every wrong option. */
export function checkOptions(options: TollgateOptions): void {
  const faults: string[] = [];
  if (!URL.canParse(options.url) || !/^https?:/.test(options.url))
    faults.push('url: an http(s) URL');
  for (const name of ['token', 'apiId', 'stage'] as const) {
    if (typeof options[name] !== 'string' || options[name] === '') faults.push(`${name}: a text`);
  }
  for (const name of ['deadlineMs', 'flushIntervalMs', 'closeTimeoutMs'] as const) {
    const value = options[name];
    if (value !== undefined && !(value > 0)) faults.push(`${name}: a number above 0`);
  }
  if (options.onFailure !== undefined && !['allow', 'deny'].includes(options.onFailure)) {
    faults.push('onFailure: "allow" or "deny"');
  }
  if (options.protocol !== undefined && !['REST', 'HTTP'].includes(options.protocol)) {
    faults.push('protocol: "REST" or "HTTP"');
  }
  if (faults.length > 0) throw new TypeError(`createTollgate needs ${faults.join('; ')}`);
}
