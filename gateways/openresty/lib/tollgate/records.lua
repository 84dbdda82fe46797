--- Calls that passed, summed up by (minute, key, api, stage, method, path, status class), as usage records.
local ceil, floor, max = math.ceil, math.floor, math.max
local format, insert = string.format, table.insert

local Records = {}
Records.__index = Records

--- The most records of one batch.
Records.BATCH_MAX = 5000
--- Past so many open records new ones are kept per quarter of an hour, past the second number nothing new fits.
local FINE_MAX, OPEN_MAX = 20000, 50000
local HTTP_UNIT = 512 * 1024
local CLASSES = { "1xx", "2xx", "3xx", "4xx", "5xx" }

function Records.new() return setmetatable({ open = {}, list = {}, size = 0 }, Records) end

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
-- decision. HTTP calls are metered in units of 512 KiB too, rounded up one by one. False when it needs a new record and
-- there is no room.
function Records:add(made, verb, at_ms, status, bytes, is_http)
  local class = class_of(status)
  local of_verb = made.usage[verb]
  if not of_verb then
    of_verb = {}
    made.usage[verb] = of_verb
  end
  local record = of_verb[class]
  if not record or record.is_cut or at_ms < record.from_ms or at_ms >= record.from_ms + record.span then
    record = open_record(self, made, verb, class, at_ms, is_http)
    if not record then return false end
    of_verb[class] = record
  end
  record.calls = record.calls + 1
  record.bytes = record.bytes + bytes
  if is_http then record.units = record.units + max(1, ceil(bytes / HTTP_UNIT)) end
  return true
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

--- Takes the oldest open records out, as the service reads them. What is not taken stays open.
function Records:take()
  local wires, kept = {}, {}
  for index, record in ipairs(self.list) do
    if index <= Records.BATCH_MAX then
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

--- The records of a list of calls `{ made, verb, at_ms, status, bytes, is_http }`, at most as many as there are calls.
function Records.of_calls(calls)
  local records = Records.new()
  for _, call in ipairs(calls) do
    records:add(call.made, call.verb, call.at_ms, call.status, call.bytes, call.is_http)
  end
  return records:take()
end

return Records
