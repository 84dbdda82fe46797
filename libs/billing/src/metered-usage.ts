import type { Protocol } from '@core/pricing';

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
