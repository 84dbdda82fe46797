--- May this call pass? Decided in the worker from cached policies and units in shared memory; the service is asked only
-- for a key that is not known yet, and when no unit is in hand. Shared by the nginx and the Kong plugin.
local cjson = require "cjson.safe"
local Breaker = require "tollgate.breaker"
local Http = require "tollgate.http"
local Leases = require "tollgate.leases"
local Policies = require "tollgate.policies"
local Units = require "tollgate.units"
local Usage = require "tollgate.usage"
local answer = require "tollgate.answer"
local epoch = require "tollgate.epoch"
local events = require "tollgate.events"

local abs, ceil, floor, huge, max, min = math.abs, math.ceil, math.floor, math.huge, math.max, math.min
local format = string.format
local present = Policies.present

local Gateway = {}
Gateway.__index = Gateway

--- A difference of clocks below it is the network.
local CLOCK_TOLERANCE_MS = 2000
--- How often a call asks for units before they count as unavailable; each time they came and others took them.
local ROUNDS_MAX = 10
local KEY_LENGTH_MAX = 256
local UNMATCHED = "/{proxy+}"
local TICK, FLUSH_EVERY = 0.1, 1
--- How long a worker that stops waits for its open calls, and then for the service.
local CLOSE_SECONDS, CLOSE_SEND_SECONDS = 5, 5

--- What both dictionaries hold of this nginx, made once per start by whoever comes first.
local function found(state)
  state:safe_add("holder", epoch.new(ngx.now() * 1000))
  return assert(state:get("holder"), "tollgate: the shared dictionary has no room")
end

--- A gateway of one worker. `options`: url, token, deadline_ms (200), on_failure ("deny") for calls whose plan is not
-- known. Shared memory is the lua_shared_dict "tollgate", for units "tollgate_units" where there is one.
function Gateway.new(options)
  local state = ngx.shared.tollgate
  assert(state, "tollgate: declare `lua_shared_dict tollgate 8m;`")
  local self = setmetatable({
    state = state, holder = found(state), client = Http.new(options.url, options.token),
    units = Units.new(ngx.shared.tollgate_units or state), breaker = Breaker.new(),
    deadline_ms = options.deadline_ms or 200, on_failure = options.on_failure or "deny", clock_offset_ms = 0,
    open_calls = 0, synced_at = 0, decisions = 0,
    counts = { allowed = 0, refused = 0, unavailable_allowed = 0, unavailable_denied = 0, unmetered = 0 },
  }, Gateway)
  local bytes = { epoch.random_bytes(9):byte(1, 9) }
  self.decision_prefix = "dec_" .. (format("%02x%02x%02x%02x%02x%02x%02x%02x%02x", unpack(bytes)))
  self.units.era = state:get("era") or 0
  self.policies = Policies.new(state, self.units)
  self.leases = Leases.new(self)
  self.usage = Usage.new(self)
  return self
end

--- Another token, or another way to the same service, from now on.
function Gateway:connect(url, token) self.client = Http.new(url, token) end

--- Business time in milliseconds: the account's clock, as the service's answers tell it.
function Gateway:now_ms() return ngx.now() * 1000 + self.clock_offset_ms end

function Gateway:observe(headers, asked_at)
  local at = headers["x-tollgate-time"] and answer.instant(headers["x-tollgate-time"])
  if not at then return end
  local offset = at - (asked_at + ngx.now()) * 500
  self.clock_offset_ms = abs(offset) < CLOCK_TOLERANCE_MS and 0 or floor(offset + 0.5)
end

--- A question that was sent then has been answered. After too long a silence all units are void, in every worker: the
-- era and the change are there before the instant that makes them look alive again.
function Gateway:answered(sent_at)
  local state = self.state
  local before = state:get("answered")
  if before and not Units.is_alive({ answered_at = before }, sent_at) then
    state:incr("era", 1, 0)
    Policies.announce(state)
  end
  if not before or sent_at > before then state:set("answered", sent_at) end
end

--- One log line per change of state, not per call.
local function tell(self, field, what, fault)
  if (fault ~= nil) == (self[field] == true) then return end
  self[field] = fault ~= nil
  if fault then ngx.log(ngx.ERR, "tollgate: ", what, " does not answer: ", fault)
  else ngx.log(ngx.NOTICE, "tollgate: ", what, " answers again") end
end

function Gateway:tell(fault) tell(self, "is_failing", "the service", fault) end
function Gateway:tell_usage(fault) tell(self, "is_usage_failing", "the service, asked to take usage,", fault) end
function Gateway:tell_events(fault) tell(self, "is_events_failing", "the stream of events", fault) end

--- Posts a question. Returns the answer's fields, or nil and why there is none; a 4xx speaks about the question, so it
-- is told as the third result.
function Gateway:post(path, body, deadline_ms)
  local now = ngx.now()
  if not self.breaker:admits(now) then return nil, "too many failures" end
  local reply, fault = self.client:post(path, body, deadline_ms)
  local status = reply and reply.status
  local is_refused = status and status >= 400 and status < 500 and status ~= 429
  local wire = status == 200 and cjson.decode(reply.body)
  if is_refused then
    self.breaker:succeeded()
    self:tell(path .. ": HTTP " .. status)
    return nil, "HTTP " .. status, status
  end
  if type(wire) ~= "table" then
    self.breaker:failed(ngx.now())
    self:tell(fault or "HTTP " .. status)
    return nil, fault or "HTTP " .. status
  end
  self.breaker:succeeded()
  self:tell(nil)
  self:observe(reply.headers, now)
  return wire
end

local function refusal(reason, made, level, retry_ms)
  return { reason = reason, made = made, level = level, retry_ms = retry_ms }
end

--- Takes the cost at every level and of the quota, or nothing. Returns nil when it did, else what is missing first:
-- its index among the levels, one past them for the quota.
local function take(self, made, cost, now, now_ms)
  local units, levels = self.units, made.levels
  local slot = units:slot_of(now)
  local missing
  for index = 1, #levels do
    local bucket = levels[index]
    local left, wants_more = units:take_rate(bucket, cost, slot)
    if not left then
      missing = index
      break
    end
    bucket.left = left
    if wants_more then self.leases:want_ahead(bucket, left) end
  end
  local quota = made.entry.quota
  if not missing and quota then
    local left, wants_more
    if now_ms < quota.to_ms then left, wants_more = units:take_quota(quota, cost, now) end
    if not left then missing = #levels + 1
    elseif wants_more then self.leases:want_ahead(quota, left) end
    made.quota_left = left
  end
  if not missing then return nil end
  for index = 1, missing - 1 do units:put_back(levels[index], cost) end
  if levels[missing] then levels[missing].left = 0 end
  return missing
end

--- Why the call is refused, as far as the service has said so; else nil, and what it lacks has been asked for.
local function refusal_or_wishes(self, made, cost, now, now_ms)
  local units, levels, quota = self.units, made.levels, made.entry.quota
  local slot = units:slot_of(now)
  local level, wait = nil, 0
  local lacking = {}
  for index = 1, #levels do
    local bucket = levels[index]
    if not units:has(bucket, cost, slot) then
      local until_at = units:refused_until(bucket, cost)
      if until_at and until_at > now then
        level = level or bucket.level
        wait = max(wait, (until_at - now) * 1000)
      else
        lacking[#lacking + 1] = bucket
      end
    end
  end
  if level then return refusal("throttled", made, level, wait) end
  if quota then
    local is_of_now = now_ms < quota.to_ms
    if is_of_now and (cost > quota.limit or
      (not units:has(quota, cost) and (units:refused_until(quota, cost) or 0) > now)) then
      -- Throttles come first: a level that has not been asked yet is asked before the quota refuses.
      if #lacking == 0 then return refusal("quota-exceeded", made, "usage-plan", quota.to_ms - now_ms) end
    elseif not is_of_now or not units:has(quota, cost) then
      lacking[#lacking + 1] = quota
    end
  end
  for _, held in ipairs(lacking) do
    if held.is_gone then return nil, true end
    self.leases:want_units(held, cost, cost)
  end
  return nil
end

--- The service cannot be asked for units: what is in hand is spent, the rest is as the plan says.
local function without_service(self, made)
  if made.entry.stage.plan.onFailure == "allow" then
    self.counts.unavailable_allowed = self.counts.unavailable_allowed + 1
    return made
  end
  self.counts.unavailable_denied = self.counts.unavailable_denied + 1
  return nil, refusal("unavailable", made, nil, 1000)
end

--- Consumes the cost at every level, all or nothing. Returns the policy's method, or nil and the refusal, or nil when
-- the service has to decide.
local function consume(self, made, cost)
  local is_shadow = made.entry.stage.plan.shadow
  for _ = 1, ROUNDS_MAX do
    local now = ngx.now()
    local now_ms = now * 1000 + self.clock_offset_ms
    if not take(self, made, cost, now, now_ms) then return made end
    local refused, is_gone = refusal_or_wishes(self, made, cost, now, now_ms)
    if is_gone then return nil end
    if refused then
      if is_shadow then return made end
      return nil, refused
    end
    if self.leases:wait(self.deadline_ms / 1000) then
      if is_shadow then return made end
      return without_service(self, made)
    end
    if made.entry.is_forgotten then return nil end
  end
  -- The service answers, but other calls were faster with the units every time.
  return nil
end

--- Decides on a call whose policy is known. Returns as `consume`.
local function decide_locally(self, entry, cost, verb, target, address)
  if not entry.is_enabled then return nil, refusal("disabled-key") end
  if entry.expires_ms and self:now_ms() >= entry.expires_ms then return nil, refusal("expired-key") end
  local stage = entry.stage
  if not stage then return nil, refusal("no-plan") end
  if entry.admits or stage.admits then
    local from = address()
    if (entry.admits and not entry.admits(from)) or (stage.admits and not stage.admits(from)) then
      return nil, refusal("ip-denied")
    end
  end
  local method = Policies.match(stage, verb, target)
  if not method then return nil, refusal("ambiguous-path") end
  local made = entry.methods[method] or self.policies:method_of(entry, method)
  return consume(self, made, cost)
end

--- The method of a decision that the service made.
local function made_of_decision(self, wire, stage)
  return {
    key_id = present(wire.keyId), customer_id = present(wire.customerId), api_id = stage.api_id, stage = stage.name,
    resource_path = present(wire.resourcePath) or UNMATCHED, decision_id = present(wire.decisionId), usage = {},
    decision = { rate = present(wire.rate), quota = present(wire.quota) }, now_ms = self:now_ms(),
  }
end

--- Asks the service about a call, and for the key's policy beside it.
local function decide_remotely(self, stage, api_key, verb, target, address)
  local wire, _, status = self:post("/v1/decisions", cjson.encode({
    apiKey = api_key, apiId = stage.api_id, stage = stage.name, method = verb, path = target:match("^[^?#]*"),
    sourceIp = address(), cost = stage.cost ~= 1 and stage.cost or nil,
  }), self.deadline_ms)
  -- The service would not take the question: never passed, whatever happens on failure.
  if status then return nil, refusal("question-refused") end
  if not wire or type(wire.allowed) ~= "boolean" then
    if self.on_failure ~= "allow" then
      self.counts.unavailable_denied = self.counts.unavailable_denied + 1
      return nil, refusal("unavailable", nil, nil, 1000)
    end
    self.counts.unavailable_allowed = self.counts.unavailable_allowed + 1
    self.counts.unmetered = self.counts.unmetered + 1
    return { api_id = stage.api_id, stage = stage.name, resource_path = UNMATCHED, decision_id = "", usage = {} }
  end
  if wire.reason == "unknown-key" then
    self.policies:remember_unknown(api_key, ngx.now())
  else
    self.leases:want_key(stage, api_key)
  end
  local made = made_of_decision(self, wire, stage)
  if wire.allowed then return made end
  local refused = refusal(wire.reason, made, present(wire.level), present(wire.retryAfterMs) or huge)
  -- A refusal for want of answers behind the service is told as the service tells it.
  if wire.reason == "unavailable" then refused.answer = answer.of_reason("throttled") end
  return nil, refused
end

--- A stage of an api, as calls to it are decided on; each of them counts as `cost` (1).
function Gateway.stage(api_id, name, cost)
  return { id = api_id .. "/" .. name .. "/", api_id = api_id, name = name, cost = cost or 1 }
end

--- Decides on a call to a stage (see `Gateway.stage`): the target as it came, the address as a function.
-- Returns what the call is charged as, or nil and the refusal. May yield.
function Gateway:decide(stage, api_key, verb, target, address)
  local now, policies = ngx.now(), self.policies
  if now ~= self.synced_at then
    self.synced_at = now
    policies:sync()
  end
  if not api_key or api_key == "" then return nil, refusal("missing-key") end
  if #api_key > KEY_LENGTH_MAX then return nil, refusal("unknown-key") end
  local entry, is_old = policies:find(stage.id, api_key, now)
  if entry then
    if is_old and not self.is_failing then self.leases:want_key(stage, api_key) end
    local made, refused = decide_locally(self, entry, stage.cost, verb, target, address)
    if made then self.usage:allow(made, verb, self:now_ms()) end
    if made or refused then return made, refused end
  elseif policies:is_unknown(api_key, now) then
    return nil, refusal("unknown-key")
  end
  return decide_remotely(self, stage, api_key, verb, target, address)
end

--- An id for a decision that was made here: a random beginning for each worker, then a count.
function Gateway:decision_id()
  self.decisions = self.decisions + 1
  return format("%s%08x", self.decision_prefix, self.decisions)
end

--- The fields `RateLimit-Policy` and `RateLimit` of what `decide` returned; nil when no limit is known.
function Gateway:limit_fields(made)
  if made.decision then return answer.fields_of_decision(made.decision, made.now_ms) end
  local entry = made.entry
  local policy = entry and entry.policy_field
  if not policy then return nil end
  local throttle, quota = entry.throttle, entry.quota
  local now = ngx.now()
  local of_key, wait, of_quota, seconds
  if throttle then
    local bucket = made.plan_bucket
    of_key = min((self.units:remaining_at_service(bucket, throttle, now) or 0) + (bucket.left or 0), throttle.burstLimit)
    if of_key >= 1 then wait = 0 elseif throttle.rateLimit > 0 then wait = ceil(1 / throttle.rateLimit) end
  end
  if quota then
    of_quota = quota.remaining + (made.quota_left or 0)
    seconds = ceil((quota.to_ms - now * 1000 - self.clock_offset_ms) / 1000)
  end
  return policy, answer.state_field(of_key, wait, of_quota, seconds)
end

--- The answer to a refused call: status, headers and body.
function Gateway:refusal_answer(refused)
  local told = refused.answer or answer.of_reason(refused.reason)
  local headers = { ["Content-Type"] = "application/json", ["x-amzn-ErrorType"] = told.error_type }
  if told.status ~= 403 then headers["Retry-After"] = answer.retry_after(refused.retry_ms or huge) end
  if refused.made then
    headers["RateLimit-Policy"], headers["RateLimit"] = self:limit_fields(refused.made)
  end
  return told.status, headers, '{"message":"' .. told.message .. '"}'
end

local function every(seconds, act)
  assert(ngx.timer.every(seconds, function(premature)
    if not premature then act() end
  end))
end

--- Waits for open calls, sends the rest of the usage and, when no new configuration takes over, gives back all units.
function Gateway:close()
  local until_at = ngx.now() + CLOSE_SECONDS
  self.units:empty_pockets(true)
  while self.open_calls > 0 and ngx.now() < until_at do ngx.sleep(0.05) end
  self.usage:close(ngx.now() + CLOSE_SEND_SECONDS)
  if self.generation == self.state:get("generation") and not self.is_failing then self.leases:return_all() end
end

--- Says that a configuration is being loaded; call it where all workers come from, so that they know when they are
-- replaced.
function Gateway.load()
  local state = ngx.shared.tollgate
  assert(state, "tollgate: declare `lua_shared_dict tollgate 8m;`")
  return state:incr("generation", 1, 0)
end

--- Starts this worker's timers. `sends_usage` is false where the caller has another way to send it.
function Gateway:start(generation, sends_usage)
  self.generation = generation or self.state:get("generation")
  every(TICK, function() self.leases:tick() end)
  if sends_usage then every(FLUSH_EVERY, function() self.usage:flush() end) end
  local is_fresh = self.state:add("started", true)
  if not is_fresh then
    self.units:adopt()
    assert(ngx.timer.at(0, function() self.usage:adopt() end))
  end
  assert(ngx.timer.at(0, function() events.run(self) end))
  -- Of all timers only one that waits is told that the worker is to stop, so this one waits for nothing else.
  assert(ngx.timer.at(365 * 86400, function() self:close() end))
end

return Gateway
