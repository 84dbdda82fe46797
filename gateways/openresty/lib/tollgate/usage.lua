--- Usage records on their way to the service, in numbered batches.
--
-- Batches of all workers are numbered in one row, (holder, sequence), by a counter in shared memory. A numbered batch
-- stays in shared memory until it is acknowledged, so that a worker that dies leaves no gap: the next one sends it.
-- Every few seconds a batch also tells how many calls were allowed here.
local cjson = require "cjson.safe"

local DecisionLog = require "tollgate.decision_log"
local Records = require "tollgate.records"

local max, min, random = math.max, math.min, math.random
local insert = table.insert

local Usage = {}
Usage.__index = Usage

--- Numbered batches that may wait for the service.
local UNSENT_MAX = 60
local ATTEMPT_MS = 5000
--- How often allowed calls are told, by each worker: batches without are read faster.
local TELL_SECONDS = 5
--- How many of the latest batches are looked through for ones without a sender.
local ADOPT_MAX = 10000
--- They speak about the content, so that the same bytes cannot succeed later.
local REFUSED = { [400] = true, [409] = true, [413] = true, [415] = true, [422] = true }

function Usage.new(gateway)
  return setmetatable({
    gateway = gateway, records = Records.new(), decisions = DecisionLog.new(), told_at = 0, unsent = {},
    is_sending = false,
  }, Usage)
end

--- Counts a call that passed; see `Records:add`.
function Usage:record(made, verb, at_ms, status, bytes, is_http)
  if not self.records:add(made, verb, at_ms, status, bytes, is_http) then
    self.gateway:tell_usage("no memory left for usage records")
  end
end

--- Counts a call that was allowed here; see `DecisionLog:add`.
function Usage:allow(made, verb, at_ms)
  if not self.decisions:add(made, verb, at_ms) then
    self.gateway:tell_usage("no memory left for counts of allowed calls")
  end
end

--- Whether the next batch tells what was allowed here.
function Usage:is_telling(is_last)
  return self.decisions.size > 0 and (is_last or ngx.now() - self.told_at >= TELL_SECONDS)
end

--- A list, also an empty one, which cjson takes for an object.
local function list_of(items) return #items > 0 and cjson.encode(items) or "[]" end

--- Gives records a number and the bytes that will be sent until they are acknowledged. With them goes what was allowed
-- here since the last time, when that is due or nothing may follow.
function Usage:number(records, is_last)
  local state, epoch = self.gateway.state, self.gateway.holder
  local sequence = state:incr("sequence", 1, -1)
  local told = self:is_telling(is_last) and self.decisions:take()
  if told then self.told_at = ngx.now() end
  local body = '{"epoch":' .. cjson.encode(epoch) .. ',"sequence":' .. sequence .. ',"records":' .. list_of(records)
    .. (told and ',"decisions":' .. list_of(told) or "") .. "}"
  -- Where shared memory is full the batch lives and dies with this worker.
  state:safe_set("b:" .. sequence, body)
  return { sequence = sequence, body = body }
end

local function is_acknowledged(answer)
  if answer.status ~= 200 and answer.status ~= 201 then return false end
  local wire = cjson.decode(answer.body)
  return type(wire) == "table" and type(wire.duplicate) == "boolean"
end

--- One attempt. True when the batch is over, acknowledged or refused for its content.
function Usage:attempt(batch)
  local gateway = self.gateway
  local answer, fault = gateway.client:post("/v1/usage/batches", batch.body, ATTEMPT_MS)
  if answer and is_acknowledged(answer) then
    gateway.state:delete("b:" .. batch.sequence)
    gateway:tell_usage(nil)
    return true
  end
  if answer and REFUSED[answer.status] then
    ngx.log(ngx.ERR, "tollgate: the service refuses batch ", gateway.holder, "/", batch.sequence, " with HTTP ",
      answer.status, "; its number stays a gap")
    gateway.state:delete("b:" .. batch.sequence)
    return true
  end
  gateway:tell_usage(fault or "HTTP " .. answer.status)
  return false
end

--- Sends the batch until it is over, with growing pauses; false when this worker has to stop first.
function Usage:deliver(batch, until_at)
  local tries = 0
  while not self:attempt(batch) do
    tries = tries + 1
    local pause = min(10, 0.1 * 2 ^ min(tries - 1, 7))
    pause = pause / 2 + random() * pause / 2
    -- A worker that is to stop has little time, and batches in shared memory have another sender.
    if ngx.worker.exiting() and not until_at then return false end
    if until_at then
      ngx.update_time()
      if ngx.now() + pause > until_at then return false end
    end
    ngx.sleep(min(pause, 1))
  end
  return true
end

--- Numbers what is open, and sends what is numbered, one batch of this worker after the other; called once a second, so
-- that calls of a second share a record. While the service is away a batch is numbered every second only until some wait;
-- then calls merge in the open records, so that an outage costs memory by the minute and not by the call.
function Usage:flush(until_at)
  local is_last = until_at ~= nil
  local function next_batch() insert(self.unsent, self:number(self.records:take(), is_last)) end
  if (self.records.size > 0 or self:is_telling(is_last)) and #self.unsent < UNSENT_MAX then next_batch() end
  if self.is_sending then return end
  self.is_sending = true
  local ok, fault = pcall(function()
    while self.unsent[1] and self:deliver(self.unsent[1], until_at) do
      table.remove(self.unsent, 1)
      -- What did not fit, and at the end all of it; else what came since waits for its second.
      local is_due = self.records.size >= (is_last and 1 or Records.BATCH_MAX) or (is_last and self:is_telling(true))
      if is_due and not self.unsent[1] then next_batch() end
    end
  end)
  self.is_sending = false
  if not ok then ngx.log(ngx.ERR, "tollgate: ", fault) end
end

--- Sends the rest, until the given instant.
function Usage:close(until_at)
  while self.is_sending and ngx.now() < until_at do ngx.sleep(0.02) end
  self:flush(until_at)
end

local function is_own(self, sequence)
  for _, batch in ipairs(self.unsent) do
    if batch.sequence == sequence then return true end
  end
  return false
end

--- Sends numbered batches that a worker which died has left, in another thread than `flush`. A batch that its own
-- worker still sends is answered as a duplicate.
function Usage:adopt()
  local state = self.gateway.state
  local last = state:get("sequence") or -1
  for sequence = max(0, last - ADOPT_MAX), last do
    local body = state:get("b:" .. sequence)
    if body and not is_own(self, sequence) then
      self:deliver({ sequence = sequence, body = body })
    end
  end
end

return Usage
