--- What keys may do, as this worker knows it. Shared memory holds the number of the last change and a log of the
-- latest ones, so that every worker forgets before its next decision.
local Router = require "tollgate.router"
local canonical_path = require "tollgate.canonical_path"
local ip_policy = require "tollgate.ip_policy"
local answer = require "tollgate.answer"

local find, sub = string.find, string.sub
local huge, min = math.huge, math.min

local Policies = {}
Policies.__index = Policies

--- The net, should the news of a change be lost, and how long a policy is used when the service cannot be asked.
local TTL, STALE_MAX = 30, 300
local UNKNOWN_TTL, UNKNOWN_MAX = 10, 10000
--- Policies that a worker keeps; past it the ones not used lately go.
local KEPT_MAX = 50000
local CHANGES_KEPT = 1000
--- Paths of a stage under a plan whose methods are at hand, and how long such a path may be.
local PATHS_MAX, PATH_LENGTH_MAX = 1000, 200
--- What a call is charged as when no method of the api matches its path: Amazon's greedy resource.
local UNMATCHED = "/{proxy+}"

--- A JSON null becomes nil.
local function present(value) if value == ngx.null then return nil end return value end

--- `state` and `units`: see gateway.lua.
function Policies.new(state, units)
  return setmetatable({
    state = state, units = units, seen = state:get("version") or 0,
    hot = {}, cold = {}, size = 0, entries_of_key = {}, stages = {}, unknown = {}, unknown_size = 0,
  }, Policies)
end

local function throttle(limit)
  limit = present(limit)
  return limit and { rateLimit = limit.rateLimit, burstLimit = limit.burstLimit } or nil
end

--- The slowest rate that a method allows by itself.
local function pace(method)
  local plan, stage = method.plan_throttle, method.stage_throttle
  return min(plan and plan.rateLimit or huge, stage and stage.rateLimit or huge)
end

--- The limits of a stage under one plan, compiled from the service's answer.
local function compile_stage(wire, stage)
  local default = throttle(wire.stageThrottle)
  local other = {
    name = "*", httpMethod = "*", resourcePath = UNMATCHED, stage_throttle = default, stage_bucket = "*",
  }
  local methods, strictest = {}, other
  for index, method in ipairs(wire.methods) do
    methods[index] = {
      httpMethod = method.httpMethod, resourcePath = method.resourcePath,
      name = method.httpMethod .. " " .. method.resourcePath,
      plan_throttle = throttle(method.planThrottle), stage_throttle = throttle(method.stageThrottle),
      stage_bucket = method.stageBucket,
    }
    if pace(methods[index]) < pace(strictest) then strictest = methods[index] end
  end
  local ips = present(wire.ipPolicy)
  return {
    api_id = stage.api_id, stage = stage.name, plan = wire.plan, ambiguous_path = wire.ambiguousPath,
    admits = ips and ip_policy.compile(ips), router = Router.new(methods), other = other, strictest = strictest,
    found = {}, found_size = 0,
  }
end

local function search(stage, verb, raw)
  local path, is_ambiguous = canonical_path(raw, stage.ambiguous_path)
  if not path then return nil end
  if is_ambiguous and stage.ambiguous_path == "strictest" then return stage.strictest end
  return stage.router:match(verb, path) or stage.other
end

--- The method of the stage that answers the verb at the path of a target as it came, or nil when the path may mean two
-- things. What was found is kept by path; where there is no more room, it is all found anew.
function Policies.match(stage, verb, target)
  local query = find(target, "?", 1, true)
  local path = query and sub(target, 1, query - 1) or target
  local of_verb = stage.found[verb]
  local method = of_verb and of_verb[path]
  if method then return method end
  method = search(stage, verb, path)
  if method and #path <= PATH_LENGTH_MAX then
    if stage.found_size >= PATHS_MAX then stage.found, stage.found_size = {}, 0 end
    of_verb = stage.found[verb] or {}
    of_verb[path] = method
    stage.found[verb], stage.found_size = of_verb, stage.found_size + 1
  end
  return method
end

--- What a key may do with one method, with the buckets of its levels; made once and kept with the policy.
function Policies:method_of(entry, method)
  local known = entry.methods[method]
  if known then return known end
  local stage, units = entry.stage, self.units
  local in_stage = stage.api_id .. "/" .. stage.stage
  local ids = { keyId = entry.key_id, usagePlanId = entry.plan_id }
  local made = {
    entry = entry, key_id = entry.key_id, customer_id = entry.customer_id, resource_path = method.resourcePath,
    api_id = stage.api_id, stage = stage.stage, throttle = entry.throttle, levels = {}, usage = {}, allowed = {},
  }
  local function add(limit, level, name, wire)
    if not limit then return nil end
    wire.level = level
    local bucket = units:rate(name, wire, level, limit)
    made.levels[#made.levels + 1] = bucket
    return bucket
  end
  local of_key = entry.plan_id .. "/" .. entry.key_id
  add(method.plan_throttle, "method", "m/" .. of_key .. "/" .. in_stage .. "/" .. method.name, {
    keyId = ids.keyId, usagePlanId = ids.usagePlanId, apiId = stage.api_id, stage = stage.stage, method = method.name,
  })
  made.plan_bucket = add(entry.throttle, "usage-plan", "p/" .. of_key, ids)
  add(method.stage_throttle, "stage-method", "s/" .. in_stage .. "/" .. method.stage_bucket,
    { apiId = stage.api_id, stage = stage.stage, method = method.stage_bucket })
  add(entry.account_throttle, "account", "a", {})
  entry.methods[method] = made
  return made
end

--- Catches up with the changes that the events told of.
function Policies:sync()
  local state, units = self.state, self.units
  -- In this order: see Gateway:answered.
  units.answered_at = state:get("answered")
  local version = state:get("version") or 0
  if version == self.seen then return end
  units.era = state:get("era") or 0
  for number = self.seen + 1, version do
    local change = state:get("e:" .. number)
    if change and change ~= "*" then self:forget_key(change) else self:forget_all() end
  end
  self.seen = version
end

--- Tells all workers of a change: of a key, or of everything.
function Policies.announce(state, key_id)
  -- The change is there before the number that points at it; two tellers at once at worst make all be forgotten.
  local number = (state:get("version") or 0) + 1
  state:set("e:" .. number, key_id or "*")
  if state:incr("version", 1, 0) ~= number then state:set("e:" .. number, "*") end
  state:delete("e:" .. number - CHANGES_KEPT)
end

--- Policies by stage and API key: two tables, so that looking one up makes no text.
local function held_in(entries, stage_id, api_key)
  local of_stage = entries[stage_id]
  return of_stage and of_stage[api_key]
end

--- The policy of an API key on a stage; `is_old` says that it is to be asked for again. Nil when it is not known.
function Policies:find(stage_id, api_key, now)
  local entry = held_in(self.hot, stage_id, api_key)
  if not entry then
    entry = held_in(self.cold, stage_id, api_key)
    if not entry then return nil end
    self:keep(entry)
  end
  local age = now - entry.loaded_at
  if age < TTL then return entry, false end
  if age < STALE_MAX then return entry, true end
  return nil
end

function Policies:keep(entry)
  if self.size >= KEPT_MAX / 2 then
    self.cold, self.hot, self.size, self.entries_of_key = self.hot, {}, 0, {}
    for _, of_stage in pairs(self.cold) do
      for _, kept in pairs(of_stage) do self:index(kept) end
    end
  end
  local of_stage = self.hot[entry.stage_id] or {}
  of_stage[entry.api_key] = entry
  self.hot[entry.stage_id], self.size = of_stage, self.size + 1
  self:index(entry)
end

function Policies:index(entry)
  local entries = self.entries_of_key[entry.key_id] or {}
  entries[entry] = true
  self.entries_of_key[entry.key_id] = entries
end

--- Whether the service lately knew no such key.
function Policies:is_unknown(api_key, now)
  local until_at = self.unknown[api_key]
  return until_at ~= nil and now < until_at
end

function Policies:remember_unknown(api_key, now)
  if self.unknown_size >= UNKNOWN_MAX then self.unknown, self.unknown_size = {}, 0 end
  if not self.unknown[api_key] then self.unknown_size = self.unknown_size + 1 end
  self.unknown[api_key] = now + UNKNOWN_TTL
end

--- Keeps the service's answer about a key. Returns true, or false and the plan of a stage that has to be asked for
-- first.
function Policies:put_key(stage_id, api_key, wire, now)
  if not present(wire) then
    self:remember_unknown(api_key, now)
    self:drop(stage_id, api_key)
    return true
  end
  local plan_id = present(wire.usagePlanId)
  local stage = plan_id and self.stages[plan_id .. "/" .. stage_id]
  if plan_id and stage == nil then return false, plan_id end
  -- A stage that is gone meanwhile: the service decides.
  if stage == false then return true end
  local ips, quota = present(wire.ipPolicy), present(wire.quota)
  local expires_at = present(wire.expiresAt)
  local entry = {
    stage_id = stage_id, api_key = api_key, key_id = wire.keyId, customer_id = wire.customerId, is_enabled = wire.enabled,
    plan_id = plan_id, expires_ms = expires_at and answer.instant(expires_at),
    admits = ips and ip_policy.compile(ips), stage = stage, throttle = throttle(wire.throttle),
    account_throttle = throttle(wire.accountThrottle), loaded_at = now, methods = {},
  }
  if quota and plan_id then
    entry.quota = self.units:quota(wire.keyId, plan_id)
    self.units:set_period(entry.quota, quota.periodFrom, answer.instant(quota.periodFrom),
      answer.instant(quota.periodTo), quota.limit)
  end
  entry.policy_field = answer.policy_field(entry.throttle, entry.quota)
  self:drop(stage_id, api_key)
  self:keep(entry)
  return true
end

--- Keeps the service's answer about a stage under a plan.
function Policies:put_stage(plan_id, stage, wire)
  wire = present(wire)
  self.stages[plan_id .. "/" .. stage.id] = wire and compile_stage(wire, stage) or false
end

--- A policy that was used since the last turn is in both tables.
function Policies:drop(stage_id, api_key)
  for _, entries in ipairs({ self.hot, self.cold }) do
    local entry = held_in(entries, stage_id, api_key)
    if entry then
      entries[stage_id][api_key] = nil
      if entries == self.hot then self.size = self.size - 1 end
      local of_key = self.entries_of_key[entry.key_id]
      if of_key then of_key[entry] = nil end
    end
  end
end

function Policies:forget_key(key_id)
  self.unknown, self.unknown_size = {}, 0
  local entries = self.entries_of_key[key_id] or {}
  self.entries_of_key[key_id] = nil
  for entry in pairs(entries) do self:forget_entry(entry) end
end

function Policies:forget_entry(entry)
  self:drop(entry.stage_id, entry.api_key)
  entry.is_forgotten = true
  for _, made in pairs(entry.methods) do
    for _, bucket in ipairs(made.levels) do
      if bucket.level == "method" or bucket.level == "usage-plan" then self.units:void(bucket) end
    end
  end
  if entry.quota then self.units:void_quota(entry.quota) end
end

function Policies:forget_all()
  self.unknown, self.unknown_size = {}, 0
  for _, entries in ipairs({ self.hot, self.cold }) do
    for _, of_stage in pairs(entries) do
      for _, entry in pairs(of_stage) do entry.is_forgotten = true end
    end
  end
  self.hot, self.cold, self.size, self.entries_of_key, self.stages = {}, {}, 0, {}, {}
  for _, bucket in pairs(self.units.rates) do self.units:void(bucket) end
  for _, quota in pairs(self.units.quotas) do self.units:void_quota(quota) end
end

Policies.present = present

return Policies
