--- What passed, summed up by (minute, key, api, stage, method, path, status class), and sent in numbered batches.
--
-- Batches of all workers are numbered in one row, (holder, sequence), by a counter in shared memory. A numbered batch
-- stays in shared memory until it is acknowledged, so that a worker that dies leaves no gap: the next one sends it.
local cjson = require "cjson.safe"

local ceil, floor, max, min, random = math.ceil, math.floor, math.max, math.min, math.random
local format, insert = string.format, table.insert

local Usage = {}
Usage.__index = Usage

local RECORDS_MAX = 5000
--- Numbered batches that may wait for the service.
local UNSENT_MAX = 60
--- Past so many open records new ones are kept per quarter of an hour, past the second number nothing new fits.
local FINE_MAX, OPEN_MAX = 20000, 50000
local HTTP_UNIT = 512 * 1024
local ATTEMPT_MS = 5000
--- How many of the latest batches are looked through for ones without a sender.
local ADOPT_MAX = 10000
local CLASSES = { "1xx", "2xx", "3xx", "4xx", "5xx" }
--- They speak about the content, so that the same bytes cannot succeed later.
local REFUSED = { [400] = true, [409] = true, [413] = true, [415] = true, [422] = true }

function Usage.new(gateway)
  return setmetatable({
    gateway = gateway, open = {}, list = {}, size = 0, dropped = 0, unsent = {}, is_sending = false,
  }, Usage)
end

--- The class of a status, 1 to 5; what is no HTTP status counts as a server's fault.
local function class_of(status)
  local class = floor(status / 100)
  return class >= 1 and class <= 5 and class or 5
end

local function record_key(made, verb, class, from_ms, is_http)
  return table.concat({
    from_ms, made.key_id, made.api_id, made.stage, verb, made.resource_path, class, is_http and "HTTP" or "REST",
  }, "\0")
end

local function open_record(self, made, verb, class, at_ms, is_http)
  for _, span in ipairs({ 60000, 900000 }) do
    local from_ms = at_ms - at_ms % span
    local key = record_key(made, verb, class, from_ms, is_http)
    local record = self.open[key]
    if record then return record end
    if self.size < (span == 60000 and FINE_MAX or OPEN_MAX) then
      record = {
        from_ms = from_ms, span = span, key_id = made.key_id, api_id = made.api_id, stage = made.stage, verb = verb,
        resource_path = made.resource_path, class = class, is_http = is_http, calls = 0, bytes = 0, units = 0,
      }
      self.open[key] = record
      self.size = self.size + 1
      self.list[self.size] = record
      return record
    end
  end
  return nil
end

--- Counts a call that passed, as it ended. `made` is a policy's method (policies.lua), `at_ms` the business time of its
-- decision. HTTP calls are metered in units of 512 KiB too, rounded up one by one.
function Usage:record(made, verb, at_ms, status, bytes, is_http)
  local class = class_of(status)
  local of_verb = made.usage[verb]
  if not of_verb then
    of_verb = {}
    made.usage[verb] = of_verb
  end
  local record = of_verb[class]
  if not record or record.is_cut or at_ms < record.from_ms or at_ms >= record.from_ms + record.span then
    record = open_record(self, made, verb, class, at_ms, is_http)
    if not record then
      self.dropped = self.dropped + 1
      self.gateway:tell_usage("no memory left for usage records")
      return
    end
    of_verb[class] = record
  end
  record.calls = record.calls + 1
  record.bytes = record.bytes + bytes
  if is_http then record.units = record.units + max(1, ceil(bytes / HTTP_UNIT)) end
end

local function minute(ms) return os.date("!%Y-%m-%dT%H:%M:00Z", floor(ms / 1000)) end

local function to_wire(record)
  return {
    at = minute(record.from_ms), keyId = record.key_id, apiId = record.api_id, stage = record.stage,
    method = record.verb, resourcePath = record.resource_path, statusClass = CLASSES[record.class],
    quantities = {
      calls = format("%d", record.calls), ["bytes-out"] = format("%d", record.bytes),
      ["http-units"] = record.is_http and format("%d", record.units) or nil,
    },
  }
end

--- Takes the oldest open records out.
function Usage:take()
  local wires, kept = {}, {}
  for index, record in ipairs(self.list) do
    if index <= RECORDS_MAX then
      record.is_cut = true
      insert(wires, to_wire(record))
    else
      insert(kept, record)
    end
  end
  self.open, self.list, self.size = {}, kept, #kept
  for _, record in ipairs(kept) do
    self.open[record_key(record, record.verb, record.class, record.from_ms, record.is_http)] = record
  end
  return wires
end

--- Gives records a number and the bytes that will be sent until they are acknowledged.
function Usage:number(records)
  local state, epoch = self.gateway.state, self.gateway.holder
  local sequence = state:incr("sequence", 1, -1)
  local body = cjson.encode({ epoch = epoch, sequence = sequence, records = records })
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

--- Numbers what is open, and sends what is numbered, one batch of this worker after the other. While the service is
-- away a batch is numbered every second only until some wait; then calls merge in the open records, so that an outage
-- costs memory by the minute and not by the call.
function Usage:flush(until_at)
  if self.size > 0 and #self.unsent < UNSENT_MAX then insert(self.unsent, self:number(self:take())) end
  if self.is_sending then return end
  self.is_sending = true
  local ok, fault = pcall(function()
    while self.unsent[1] and self:deliver(self.unsent[1], until_at) do
      table.remove(self.unsent, 1)
      if self.size > 0 and not self.unsent[1] then insert(self.unsent, self:number(self:take())) end
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
