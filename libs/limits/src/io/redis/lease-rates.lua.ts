import { BLOCK_SHARE } from '@core/limits';

/** Redis' own clock in milliseconds: the only one that all processes share. */
const REDIS_TIME = `
local time = redis.call('TIME')
local now = time[1] * 1000 + time[2] / 1000`;

/**
 * Takes units back and lends units of many buckets, all of them in one slot, each debited before it is handed out.
 *
 *     KEYS     a hash for each home, tg1:{home}
 *     ARGV     for each key: n, then n × (field, rate per second, burst, units back, held ms, asked, least, wanted)
 *     Returns  one string with, for each question in order, two little-endian doubles: granted, and spent after it.
 *              Not numbers, of which Redis would cut off the fractions.
 *
 * A field is the name of a bucket; its value is five little-endian doubles, the state of `Buckets` and what this script needs:
 *
 *     spent    calls since `origin`
 *     origin   when the bucket was last full as a call came, ms
 *     rate     calls per ms until now: what was spent before a change of the limit was refilled with the old rate
 *     at       when this was written, ms. A clock that went back (a failover to another machine) counts on from there.
 *     until    the hash lives so long at least, ms: no command is needed to see that
 *
 * A hash lives until the last of its buckets is full, and some seconds more, so that a key in use is not made anew for each block. The 1 in tg1 is the
 * version of this format, never one of a plan. A bucket of rate 0 refills nothing, and lives as long as it would have before.
 *
 * The arithmetic is that of `Buckets` and `grantSize` in the same order of operations, so that both round alike;
 * a test drives both with the same questions.
 */
export function leaseRates({ now = REDIS_TIME, spareMs = 10_000 } = {}): string {
  return `${now}
local TOLERANCE = 1e-6
local SHARE = ${BLOCK_SHARE}

local function spentOf(state)
  local ahead = state[1] - (now - state[2]) * state[3]
  return ahead > 0 and ahead or 0
end

local function read(key, field, changed)
  local packed = redis.call('HGET', key, field)
  if not packed then return { 0, now, 0, 0 } end
  local spent, origin, rate, at, lives = struct.unpack('<ddddd', packed)
  if at > now then
    origin = origin - (at - now)
    lives = 0
    changed[field] = true
  end
  return { spent, origin, rate, lives }
end

local answers = {}
local arg = 1
for _, key in ipairs(KEYS) do
  local states, changed = {}, {}
  for question = 1, tonumber(ARGV[arg]) do
    local field = ARGV[arg + 1]
    local rate, burst = tonumber(ARGV[arg + 2]) / 1000, tonumber(ARGV[arg + 3])
    local units, heldMs = tonumber(ARGV[arg + 4]), tonumber(ARGV[arg + 5])
    local asked, least, wanted = tonumber(ARGV[arg + 6]), tonumber(ARGV[arg + 7]), tonumber(ARGV[arg + 8])
    arg = arg + 8
    local state = states[field] or read(key, field, changed)
    states[field] = state
    if state[3] ~= rate then
      local spent = spentOf(state)
      state[1], state[2], state[3] = spent, now, rate
      if spent > 0 then changed[field] = true end
    end
    local credit = units - rate * math.max(0, heldMs)
    local spent = spentOf(state)
    if credit > 0 and spent > 0 then
      state[1] = state[1] - math.min(credit, spent)
      spent = spentOf(state)
      changed[field] = true
    end
    local granted = 0
    if rate > 0 and burst > 0 then
      local left = math.floor(burst - spent + TOLERANCE)
      local ahead = math.min(wanted, math.floor(left / SHARE))
      if left >= least then granted = math.max(0, math.min(left, math.max(asked, ahead))) end
    end
    if granted > 0 then
      if spent > 0 then
        state[1] = state[1] + granted
      else
        state[1], state[2] = granted, now
      end
      changed[field] = true
    end
    answers[#answers + 1] = struct.pack('<dd', granted, spentOf(state))
  end
  arg = arg + 1

  local lifeMs = 0
  for field in pairs(changed) do
    local state = states[field]
    local fullInMs = state[3] > 0 and math.min(spentOf(state) / state[3], 1e14) or 0
    if now + fullInMs > state[4] then
      lifeMs = math.max(lifeMs, math.ceil(fullInMs) + ${spareMs})
      state[4] = now + fullInMs + ${spareMs}
    end
    redis.call('HSET', key, field, struct.pack('<ddddd', state[1], state[2], state[3], now, state[4]))
  end
  if lifeMs > 0 and lifeMs > redis.call('PTTL', key) then
    redis.call('PEXPIRE', key, string.format('%.0f', lifeMs))
  end
end
return table.concat(answers)`;
}
