import type { QuotaExtension, QuotaLimit, StagePolicy, ThrottleLimit } from './policy.js';

/** What one key has in one plan instead of what the plan says, and on top of it. */
export interface KeyOverride {
  readonly throttle: ThrottleLimit | null;
  /** Instead of either throttle until an instant of the business clock. */
  readonly boost: { readonly throttle: ThrottleLimit; readonly untilMs: number } | null;
  /** Of no effect while the plan has no quota. */
  readonly quotaLimit: number | null;
  readonly extensions: readonly QuotaExtension[];
}

/** The stage as it is for one key at that instant of the business clock; its methods are the same objects. */
export function overridden(stage: StagePolicy, override: KeyOverride, atMs: number): StagePolicy {
  const { plan } = stage;
  const { boost, extensions } = override;
  const isBoosted = boost !== null && atMs < boost.untilMs;
  const throttle = isBoosted ? boost.throttle : (override.throttle ?? plan.throttle);
  const quota = plan.quota && {
    ...plan.quota,
    limit: override.quotaLimit ?? plan.quota.limit,
    ...(extensions.length > 0 && { extensions }),
  };
  return { ...stage, plan: { ...plan, throttle, quota } };
}

/** The limit of a quota in one of its periods: what it was extended by counts in that period alone. */
export function quotaLimitIn(
  { limit, extensions }: QuotaLimit,
  { fromMs, toMs }: { readonly fromMs: number; readonly toMs: number },
): number {
  if (extensions === undefined) return limit;
  const units = extensions
    .filter((extension) => extension.fromMs === fromMs && extension.toMs === toMs)
    .reduce((sum, extension) => sum + extension.units, 0);
  return Math.min(limit + units, Number.MAX_SAFE_INTEGER);
}
