--- Allowance in hand, in shared memory: units that the service has debited and that any worker may spend.
--
-- A unit is spent by `incr(-cost)` and counts only when the result is not negative; else it is put back at once. What
-- was taken never exceeds what was put in, whatever the workers do at the same instant: a put-back in flight makes the
-- number too small, never too large.
--
-- Of plenty a worker takes a few at once into its pocket, from which only it spends: a step in shared memory costs more
-- than all else of a decision. When little is left nothing is pocketed, and what lies idle in a pocket is put back.
--
-- Rate units are void when their lease is over, so they are kept by the half lease in which they were asked for: in
-- slot `s` those of `s` and `s - 1` may be spent. Quota units are kept by the period.
local Units = {}
Units.__index = Units

local ceil, exp, floor, max, min = math.ceil, math.exp, math.floor, math.max, math.min
local insert = table.insert

--- Units are given back after so many seconds in which nobody spent one.
local QUOTA_IDLE, RATE_IDLE = 2, 0.2
--- How long a return may be on its way.
local RETURN_SECONDS = 0.1
--- A refusal is believed for at most so many seconds: others may give back, and plans may change at the service.
local BELIEF_MAX = 1
--- Quota units are void when no question that was sent in so many seconds has been answered: the service may soon take
-- this holder for dead and give them to others.
local SILENCE_MAX = 45
--- Units asked for ahead last about so many seconds of this worker's pace.
local RATE_AHEAD, QUOTA_AHEAD, QUOTA_AHEAD_MAX = 0.6, 5, 10000
--- The most that one pocket holds, and how many times as much is there for other workers, by the last look; half of it
-- has to be there still.
local POCKET_MAX, POCKET_SHARE = 16, 16
--- What has been touched by nobody for so many seconds is no longer looked at.
local FORGET = 60

--- One object per name for as long as a policy or the list of active ones holds it.
local function by_name() return setmetatable({}, { __mode = "v" }) end

--- `dict` is a lua_shared_dict.
function Units.new(dict)
  return setmetatable({ dict = dict, rates = by_name(), quotas = by_name(), active = {}, pocketed = {}, half = 0.5,
    era = 0, pocket_max = POCKET_MAX, answered_at = nil, returns = { rates = {}, quotas = {} } }, Units)
end

--- How long a lease is, as the service says it.
function Units:set_lease_ms(lease_ms)
  if lease_ms > 0 then self.half = lease_ms / 2000 end
end

function Units:slot_of(at) return floor(at / self.half) end

--- The bucket of this name; `wire` is how the service calls it, `limit` what it refills with.
function Units:rate(name, wire, level, limit)
  local bucket = self.rates[name]
  if not bucket then
    bucket = {
      name = name, wire = wire, level = level, keys = {}, believed = "x:" .. name .. ":", known = "m:" .. name,
      low = 0, spent = 0, pace = 0, measured_at = ngx.now(), touched_at = 0, pocket = 0, pocket_slot = 0, behind = 0,
    }
    for parity = 0, 3 do bucket.keys[parity] = "r:" .. name .. ":" .. parity end
    self.rates[name] = bucket
  end
  bucket.rate_limit = limit.rateLimit
  return bucket
end

--- The quota of a key in a plan.
function Units:quota(key_id, plan_id)
  local name = plan_id .. "/" .. key_id
  local quota = self.quotas[name]
  if not quota then
    quota = {
      name = name, key_id = key_id, plan_id = plan_id, is_quota = true, believed = "x:q/" .. name .. ":",
      used = "a:" .. name, to_ms = 0, limit = 0, remaining = 0,
      low = 0, spent = 0, untold = 0, pace = 0, measured_at = ngx.now(), touched_at = 0, pocket = 0, behind = 0,
    }
    self.quotas[name] = quota
  end
  return quota
end

--- Puts units, and what was spent and not told yet, among what goes back. 0 units only tell.
local function add_quota_return(self, quota, units)
  if units > 0 or quota.untold > 0 then
    insert(self.returns.quotas, {
      keyId = quota.key_id, usagePlanId = quota.plan_id, periodFrom = quota.from_text, units = units,
      spent = quota.untold,
    })
    quota.untold = 0
  end
end

--- Puts what is in the pocket back where it came from; rate units whose lease is over are void.
local function empty(self, held)
  if held.pocket == 0 then return end
  if held.is_quota or held.pocket_slot >= self:slot_of(ngx.now()) - 1 then
    self.dict:incr(held.source, held.pocket)
    held.behind = held.behind + held.pocket
  end
  held.pocket = 0
end

--- Says which period the quota is in. Units of another period or era stay where they are, and are void.
function Units:set_period(quota, from_text, from_ms, to_ms, limit)
  if quota.from_text ~= from_text or quota.era ~= self.era then
    empty(self, quota)
    if quota.from_text then add_quota_return(self, quota, 0) end
    quota.from_text, quota.era = from_text, self.era
    quota.key = "q:" .. self.era .. ":" .. quota.name .. "|" .. from_text
    quota.low = 0
  end
  quota.from_ms, quota.to_ms, quota.limit = from_ms, to_ms, limit
end

local function touch(self, held)
  if not held.is_active then
    held.is_active = true
    self.active[#self.active + 1] = held
  end
end

--- Takes the cost out of shared memory, and into the empty pocket what there is plenty of. Returns whether it did, and
-- what is there else.
local function spend(self, held, key, cost)
  local dict = self.dict
  local more = held.source == key and min(self.pocket_max, floor(held.behind / POCKET_SHARE)) or 0
  local left = dict:incr(key, -cost - more)
  if not left then return false, 0 end
  if left < 0 then
    left = dict:incr(key, cost + more) or 0
    if more == 0 then return false, left end
    held.behind = 0
    return spend(self, held, key, cost)
  end
  -- Others have taken meanwhile.
  if more > 0 and left < more * POCKET_SHARE / 2 then left, more = dict:incr(key, more) or 0, 0 end
  held.source, held.behind, held.pocket = key, left, more
  if more > 0 and not held.is_pocketed then
    held.is_pocketed = true
    self.pocketed[#self.pocketed + 1] = held
  end
  return true
end

--- Spends from the pocket, where it holds as much.
local function spend_pocket(held, cost)
  if held.pocket < cost then return false end
  held.pocket = held.pocket - cost
  return true
end

--- Takes the cost, the older units first. Returns what is left beside it, or nil, and whether more is wanted ahead.
function Units:take_rate(bucket, cost, slot)
  local older, is_due = slot - 1, false
  if bucket.pocket > 0 and bucket.pocket_slot < older then bucket.pocket = 0 end
  if not spend_pocket(bucket, cost) then
    empty(self, bucket)
    local is_older = false
    if bucket.dry ~= older then
      local rest
      is_older, rest = spend(self, bucket, bucket.keys[older % 4], cost)
      if not is_older and rest <= 0 then bucket.dry = older end
    end
    if is_older then
      bucket.pocket_slot = older
      is_due = bucket.topped ~= slot and bucket.pace > 1
      if is_due then bucket.topped = slot end
    else
      if not spend(self, bucket, bucket.keys[slot % 4], cost) then return nil end
      bucket.pocket_slot = slot
      is_due = bucket.behind < bucket.low
    end
    if not bucket.is_active then touch(self, bucket) end
  end
  bucket.spent = bucket.spent + cost
  return bucket.behind + bucket.pocket, is_due
end

--- Whether quota units may be spent: a question was answered lately.
function Units:is_alive(now) return self.answered_at ~= nil and now - self.answered_at < SILENCE_MAX end

--- Takes the cost of the quota; see `take_rate`.
function Units:take_quota(quota, cost, now)
  if not self:is_alive(now) then return nil end
  local is_due = false
  if not spend_pocket(quota, cost) then
    empty(self, quota)
    if not spend(self, quota, quota.key, cost) then return nil end
    is_due = quota.behind < quota.low
    if not quota.is_active then touch(self, quota) end
  end
  quota.spent, quota.untold = quota.spent + cost, quota.untold + cost
  return quota.behind + quota.pocket, is_due
end

--- Puts back what the last take of this worker took. Nothing may have yielded in between.
function Units:put_back(held, cost)
  self.dict:incr(held.source, cost)
  held.behind, held.spent = held.behind + cost, held.spent - cost
  if held.is_quota then held.untold = held.untold - cost end
end

--- Whether the cost is in hand now. Consumes nothing.
function Units:has(held, cost, slot)
  local dict = self.dict
  empty(self, held)
  if held.is_quota then
    return held.key ~= nil and self:is_alive(ngx.now()) and (dict:get(held.key) or 0) >= cost
  end
  return (dict:get(held.keys[(slot - 1) % 4]) or 0) >= cost or (dict:get(held.keys[slot % 4]) or 0) >= cost
end

--- Puts what lies idle in this worker's pockets back where all find it; with `all` everything, and pockets nothing more.
function Units:empty_pockets(all)
  if all then self.pocket_max = 0 end
  local kept = {}
  for _, held in ipairs(self.pocketed) do
    if all or held.spent == 0 then
      empty(self, held)
      held.is_pocketed = false
    else
      kept[#kept + 1] = held
    end
  end
  self.pocketed = kept
end

--- Until when (`ngx.now()`) the service's refusal of this cost is believed, or nil. "Never" is math.huge.
function Units:refused_until(held, cost)
  local until_at = self.dict:get(held.believed .. cost)
  if not until_at then return nil end
  return until_at < 0 and math.huge or until_at
end

--- How many the worker would like to have ahead, by its own pace: an average in which a second ago weighs a third.
function Units.ahead(held, now)
  local elapsed = now - held.measured_at
  if elapsed > 0 then
    local weight = exp(-elapsed)
    held.pace = held.pace * weight + held.spent / elapsed * (1 - weight)
    if held.spent > 0 then held.touched_at = now end
    held.spent, held.measured_at = 0, now
  end
  if held.is_quota then return min(QUOTA_AHEAD_MAX, ceil(held.pace * QUOTA_AHEAD)) end
  return ceil(held.pace * RATE_AHEAD)
end

local function believe(dict, held, cost, seconds, until_at)
  dict:set(held.believed .. cost, until_at, max(0.001, min(BELIEF_MAX, seconds)))
end

--- Puts in what a question of `sent_at` was granted. `grant` is the service's answer, `least` what was needed.
function Units:put_rate(bucket, grant, sent_at, least)
  local now = ngx.now()
  if grant.granted > 0 then
    local slot = self:slot_of(sent_at)
    local seconds = (slot + 2) * self.half - now
    if seconds >= 0.001 then
      local left = self.dict:incr(bucket.keys[slot % 4], grant.granted, 0, seconds) or 0
      bucket.low = min(floor(left / 2), ceil(bucket.pace / 4))
      bucket.touched_at = now
      if bucket.dry == slot then bucket.dry = nil end
      touch(self, bucket)
    end
  else
    local wait = grant.retryAfterMs
    if wait then believe(self.dict, bucket, least, wait / 1000, now + wait / 1000)
    else believe(self.dict, bucket, least, 1, -1) end
  end
  self.dict:set(bucket.known, floor(grant.remaining) .. "@" .. now, 10)
  bucket.remaining, bucket.remaining_at = grant.remaining, now
end

--- The same for a quota. `now_ms` is the business time. An exhausted quota is asked again after half a second, since
-- another process may have given back what it did not spend.
function Units:put_quota(quota, grant, now_ms, least)
  quota.remaining = grant.remaining
  if grant.granted > 0 then
    local seconds = max(1, (quota.to_ms - now_ms) / 1000)
    local left = self.dict:incr(quota.key, grant.granted, 0, min(seconds, 40 * 86400)) or 0
    quota.low = min(floor(left / 2), ceil(quota.pace))
    quota.touched_at = ngx.now()
    self.dict:set(quota.used, ngx.now(), FORGET)
    touch(self, quota)
  elseif grant.remaining < least then
    believe(self.dict, quota, least, 0.5, ngx.now() + 0.5)
  end
end

--- What the service had left of the bucket, as some worker was last told, with what it has refilled since; nil unknown.
function Units:remaining_at_service(bucket, throttle, now)
  if now - (bucket.read_at or 0) > 0.25 then
    bucket.read_at = now
    local text = self.dict:get(bucket.known)
    local remaining, at = (text or ""):match("^(%d+)@(.+)$")
    if remaining then bucket.remaining, bucket.remaining_at = tonumber(remaining), tonumber(at) end
  end
  if not bucket.remaining then return nil end
  return min(throttle.burstLimit, floor(bucket.remaining + (now - bucket.remaining_at) * throttle.rateLimit))
end

--- Takes all units of a key out, if there are any: they are the caller's alone then.
local function drain(dict, key)
  local units = dict:get(key)
  if not units or units <= 0 then return nil end
  local left = dict:incr(key, -units)
  if left and left >= 0 then return units end
  if left then dict:incr(key, units) end
  return nil
end

--- A policy was forgotten: its rate units are void, its quota units go back.
function Units:void(bucket)
  for parity = 0, 3 do self.dict:delete(bucket.keys[parity]) end
  self.dict:delete(bucket.believed .. "1")
  bucket.low, bucket.pocket, bucket.remaining = 0, 0, nil
end

function Units:void_quota(quota)
  empty(self, quota)
  if quota.key then add_quota_return(self, quota, drain(self.dict, quota.key) or 0) end
  quota.from_text = nil
  self.dict:delete(quota.believed .. "1")
  quota.low = 0
end

--- Gives back what a bucket has from that slot. What it has refilled since then is not credited again, so that few
-- units that were held long are worth nothing: they are left to whoever wants them.
local function return_rate(self, bucket, slot, now)
  local key = bucket.keys[slot % 4]
  local held_for = now - slot * self.half + RETURN_SECONDS
  if (self.dict:get(key) or 0) <= held_for * bucket.rate_limit then return end
  local units = drain(self.dict, key)
  if not units then return end
  insert(self.returns.rates, { bucket = bucket.wire, units = units, heldMs = ceil(held_for * 1000) })
  bucket.dry = slot
end

--- Collects in `returns` what nobody wants: rate units in the last part of their lease, quota units that lay idle; with
-- `all` every unit.
function Units:sweep(all)
  local now = ngx.now()
  local slot = self:slot_of(now)
  local is_late = now / self.half - slot > 0.6
  local kept, n = {}, 0
  for _, held in ipairs(self.active) do
    if held.is_quota then
      if held.spent > 0 or held.touched_at > (held.told_at or 0) then
        held.told_at = now
        self.dict:set(held.used, now, FORGET)
      end
      if all or now - (self.dict:get(held.used) or 0) >= QUOTA_IDLE then
        if held.from_text then add_quota_return(self, held, drain(self.dict, held.key) or 0) end
      end
    else
      local is_idle = held.spent == 0 and now - held.touched_at >= RATE_IDLE
      if is_late or is_idle or all then return_rate(self, held, slot - 1, now) end
      if is_idle or all then return_rate(self, held, slot, now) end
    end
    if held.spent > 0 then Units.ahead(held, now) end
    if now - held.touched_at < FORGET then
      n = n + 1
      kept[n] = held
    else
      held.is_active = false
    end
  end
  self.active = kept
end

--- Takes over quota units that a worker which died, or a configuration before this one, left in shared memory.
function Units:adopt()
  for _, key in ipairs(self.dict:get_keys(0)) do
    local era, plan_id, key_id, from_text = key:match("^q:(%d+):([^/]+)/([^|]+)|(.+)$")
    if plan_id and tonumber(era) == self.era then
      local quota = self:quota(key_id, plan_id)
      if not quota.key then
        quota.key, quota.from_text, quota.era, quota.touched_at = key, from_text, self.era, ngx.now()
        touch(self, quota)
      end
    end
  end
end

return Units
