/**
 * Four buckets by GCRA and a quota, all or nothing: what a service asks Redis for each call when it has no leases.
 *
 *     KEYS     four buckets, then the counter of the quota
 *     ARGV     rate per second and burst of each bucket, then the limit of the quota
 *     Returns  1 when the call passes, else 0
 */
export const FIVE_LIMITS = `
local time = redis.call('TIME')
local now = time[1] * 1000 + time[2] / 1000
local state = redis.call('MGET', unpack(KEYS))
local arrivals = {}
for n = 1, 4 do
  local interval = 1000 / ARGV[2 * n - 1]
  local arrival = math.max(tonumber(state[n] or 0), now) + interval
  if arrival - now > interval * ARGV[2 * n] then return 0 end
  arrivals[n] = arrival
end
if tonumber(state[5] or 0) >= tonumber(ARGV[9]) then return 0 end
for n = 1, 4 do
  redis.call('SET', KEYS[n], string.format('%.17g', arrivals[n]), 'PX', math.ceil(arrivals[n] - now) + 1)
end
redis.call('INCRBY', KEYS[5], 1)
return 1`;
