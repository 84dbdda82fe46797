import type { Protocol } from '@core/pricing';
import type { BilledRateCard } from './price-lines.js';

const PROTOCOLS: readonly Protocol[] = ['REST', 'HTTP', 'WEBSOCKET'];

/** Usage as metering counts it, with its protocol as prices name it: null where the meter does not tell. */
export function meteredUsage<T extends { readonly protocol: string }>(
  counted: readonly T[],
): (Omit<T, 'protocol'> & { readonly protocol: Protocol | null })[] {
  return counted.map(({ protocol, ...rest }) => ({
    ...rest,
    protocol: PROTOCOLS.find((one) => one === protocol) ?? null,
  }));
}

/** The meters of which a rate card asks through which kind of api they came. */
export function metersByProtocol({ prices }: BilledRateCard): string[] {
  return prices.flatMap(({ meter, protocol }) => (meter !== null && protocol ? [meter] : []));
}
