--- Asks `POST /v1/leases` for one worker: what waiting calls need, what busy keys want ahead, which policies are new or
-- old, and what goes back; all in one question at a time (docs/leases.md).
local cjson = require "cjson.safe"
local semaphore = require "ngx.semaphore"
local answer = require "tollgate.answer"
local Policies = require "tollgate.policies"
local Units = require "tollgate.units"

local insert, max, min = table.insert, math.max, math.min
local present = Policies.present

local Leases = {}
Leases.__index = Leases

local LIST_MAX, STAGES_MAX = 1000, 100
--- A holder is dead after 60 s of silence; it speaks at least so often.
local SPEAK_EVERY = 5
local ANSWER_MS = 2000
--- Units that last for less than so many seconds are asked for at once.
local SOON = 0.1

--- `gateway` has client, units, policies, state, holder and what is told of failures.
function Leases.new(gateway)
  return setmetatable({ gateway = gateway, is_running = false, batch = nil, ahead = {} }, Leases)
end

local function a_batch()
  return {
    keys = {}, stages = {}, rates = {}, quotas = {}, wanted = {}, waiters = 0, semaphore = assert(semaphore.new()),
  }
end

--- The question that is being gathered; it is sent when the one before has been answered.
function Leases:gathering()
  self.batch = self.batch or a_batch()
  return self.batch
end

--- A wish for units ahead. It goes with the next tick, which asks for many at once, while what is left lasts until then.
function Leases:want_ahead(held, left)
  if not held.is_wanted then
    held.is_wanted = true
    insert(self.ahead, held)
  end
  if left < held.pace * SOON then self:start() end
end

--- A wish for units: `asked` of waiting calls of `least` each, or 0 and 1 for some ahead.
function Leases:want_units(held, asked, least)
  local batch = self:gathering()
  local wish = batch.wanted[held]
  if wish then
    wish.least = wish.asked > 0 and asked > 0 and min(wish.least, least) or asked > 0 and least or wish.least
    wish.asked = wish.asked + asked
    return
  end
  local list = held.is_quota and batch.quotas or batch.rates
  if #list >= LIST_MAX then return end
  wish = { held = held, asked = asked, least = least }
  batch.wanted[held] = wish
  insert(list, wish)
  self:start()
end

--- A wish for the policy of a key on a stage (see Gateway:decide).
function Leases:want_key(stage, api_key)
  local batch = self:gathering()
  local id = stage.id .. api_key
  if batch.wanted[id] or #batch.keys >= LIST_MAX then return end
  batch.wanted[id] = true
  insert(batch.keys, { stage = stage, api_key = api_key })
  self:start()
end

local function want_stage(batch, plan_id, stage)
  local id = plan_id .. "/" .. stage.id
  if batch.wanted[id] or #batch.stages >= STAGES_MAX then return end
  batch.wanted[id] = true
  insert(batch.stages, { plan_id = plan_id, stage = stage })
end

--- Waits for the answer to what was wished for. Returns nil, or why there is none. Nobody queues behind a question that
-- has been open for longer than a call may wait.
function Leases:wait(seconds)
  if self.asked_at and ngx.now() - self.asked_at > seconds then return "slow" end
  local batch = self:gathering()
  self:start()
  batch.waiters = batch.waiters + 1
  local ok, fault = batch.semaphore:wait(seconds)
  if not ok then return fault or "no answer" end
  return batch.fault
end

function Leases:start()
  if self.is_running then return end
  self.is_running = true
  local ok, fault = ngx.timer.at(0, function() self:run() end)
  if not ok then
    self.is_running = false
    self.gateway:tell(fault)
  end
end

--- Puts what is wanted ahead into the question.
function Leases:gather_ahead()
  local ahead = self.ahead
  self.ahead = {}
  for _, held in ipairs(ahead) do
    held.is_wanted = false
    self:want_units(held, 0, 1)
  end
end

function Leases:run()
  self:gather_ahead()
  while self.batch do
    local batch = self.batch
    self.batch = nil
    local ok, fault = pcall(self.ask, self, batch)
    if not ok then ngx.log(ngx.ERR, "tollgate: ", fault) end
    batch.fault = fault
    if batch.waiters > 0 then batch.semaphore:post(batch.waiters) end
  end
  self.is_running = false
end

--- The first `LIST_MAX` of a list; the rest stays in it.
local function some(list)
  if #list <= LIST_MAX then return list, {} end
  local first, rest = {}, {}
  for index, item in ipairs(list) do insert(index <= LIST_MAX and first or rest, item) end
  return first, rest
end

local function or_nothing(list) return #list > 0 and list or nil end

function Leases:question(batch, now)
  local units = self.gateway.units
  local keys, stages, rates, quotas = {}, {}, {}, {}
  for index, key in ipairs(batch.keys) do
    keys[index] = { apiKey = key.api_key, apiId = key.stage.api_id, stage = key.stage.name }
  end
  for index, wish in ipairs(batch.stages) do
    stages[index] = { usagePlanId = wish.plan_id, apiId = wish.stage.api_id, stage = wish.stage.name }
  end
  for index, wish in ipairs(batch.rates) do
    rates[index] = {
      bucket = wish.held.wire, asked = wish.asked, least = wish.least,
      wanted = wish.asked + Units.ahead(wish.held, now),
    }
  end
  for index, wish in ipairs(batch.quotas) do
    quotas[index] = {
      keyId = wish.held.key_id, usagePlanId = wish.held.plan_id, asked = wish.asked,
      wanted = wish.asked + Units.ahead(wish.held, now), spent = wish.held.untold,
    }
    wish.held.untold = 0
  end
  local returns = units.returns
  local rate_returns, quota_returns = {}, {}
  if not self.gateway.is_failing then
    rate_returns, returns.rates = some(returns.rates)
    quota_returns, returns.quotas = some(returns.quotas)
  end
  local has_returns = #rate_returns + #quota_returns > 0
  return cjson.encode({
    holder = self.gateway.holder, seen = self.gateway.state:get("seen"), keys = or_nothing(keys),
    stages = or_nothing(stages), rates = or_nothing(rates), quotas = or_nothing(quotas),
    returns = has_returns and { rates = or_nothing(rate_returns), quotas = or_nothing(quota_returns) } or nil,
  })
end

--- Returns nil, or why there was no answer. What goes back with a question that got lost stays debited: a quota is
-- never exceeded, at worst not quite used.
function Leases:ask(batch)
  local gateway = self.gateway
  gateway.policies:sync()
  local version = gateway.policies.seen
  local sent_at = ngx.now()
  local body = self:question(batch, sent_at)
  self.asked_at = sent_at
  -- Longer than a call waits: what is granted late is not lost, though the calls that wanted it are answered.
  local wire, fault = gateway:post("/v1/leases", body, max(ANSWER_MS, gateway.deadline_ms))
  self.asked_at = nil
  if not wire then return fault end
  gateway.state:set("spoke", 1, SPEAK_EVERY)
  gateway:answered(sent_at)
  gateway.policies:sync()
  if wire.leaseMs then gateway.units:set_lease_ms(wire.leaseMs) end
  -- What was asked for before a change is not kept: it was granted, or said, under the policy that is forgotten.
  local is_current = gateway.policies.seen == version
  self:take_policies(batch, wire, is_current)
  self:take_units(batch, wire, sent_at, is_current)
  return nil
end

function Leases:take_policies(batch, wire, is_current)
  local policies, now = self.gateway.policies, ngx.now()
  for index, wish in ipairs(batch.stages) do
    if is_current then policies:put_stage(wish.plan_id, wish.stage, wire.stages and wire.stages[index]) end
  end
  for index, key in ipairs(batch.keys) do
    if is_current and wire.keys then
      local is_kept, plan_id = policies:put_key(key.stage.id, key.api_key, wire.keys[index], now)
      if not is_kept then
        -- The stage comes with the next question, and the key once more, so that both are of one moment.
        want_stage(self:gathering(), plan_id, key.stage)
        self:want_key(key.stage, key.api_key)
      end
    end
  end
end

function Leases:take_units(batch, wire, sent_at, is_current)
  local gateway = self.gateway
  local units, now_ms = gateway.units, gateway:now_ms()
  for index, wish in ipairs(batch.rates) do
    local grant = present(wire.rates and wire.rates[index])
    if not grant then
      wish.held.is_gone = true
    elseif is_current then
      grant.retryAfterMs = present(grant.retryAfterMs)
      units:put_rate(wish.held, grant, sent_at, wish.least)
    elseif grant.granted > 0 then
      insert(units.returns.rates, { bucket = wish.held.wire, units = grant.granted, heldMs = 0 })
    end
  end
  for index, wish in ipairs(batch.quotas) do
    local quota, grant = wish.held, present(wire.quotas and wire.quotas[index])
    if not grant then
      quota.is_gone = true
    elseif is_current then
      units:set_period(quota, grant.periodFrom, answer.instant(grant.periodFrom), answer.instant(grant.periodTo),
        grant.limit)
      units:put_quota(quota, grant, now_ms, wish.least)
    elseif grant.granted > 0 then
      insert(units.returns.quotas, {
        keyId = quota.key_id, usagePlanId = quota.plan_id, periodFrom = grant.periodFrom, units = grant.granted,
      })
    end
  end
end

--- Every tenth of a second: gives back what nobody wants, and says that this nginx is alive.
function Leases:tick()
  local gateway = self.gateway
  gateway.policies:sync()
  gateway.units:empty_pockets(false)
  if gateway.is_failing then return end
  gateway.units:sweep(false)
  local returns = gateway.units.returns
  local is_silent = not gateway.state:get("spoke") and gateway.state:add("speaking", 1, 1)
  if #returns.rates + #returns.quotas > 0 or is_silent or #self.ahead > 0 then
    self:gathering()
    self:start()
  end
end

--- Gives everything back, at the end of this nginx.
function Leases:return_all()
  local returns = self.gateway.units.returns
  self.gateway.units:sweep(true)
  while #returns.rates + #returns.quotas > 0 do
    if self:ask(a_batch()) then return end
  end
end

return Leases
