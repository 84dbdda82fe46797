--- How many calls this worker allowed by itself, by (hour of UTC, key, api, stage, verb, path), until a batch tells them.
--
-- Counted when a call is let pass, apart from usage, which is counted when the call ends: the two are held against each
-- other, so they share nothing.
local concat = table.concat

local DecisionLog = {}
DecisionLog.__index = DecisionLog

--- How many counts one batch tells.
DecisionLog.BATCH_MAX = 10000
--- Past so many nothing new is counted, until some are told.
local OPEN_MAX = 50000
local HOUR_MS = 3600000

function DecisionLog.new() return setmetatable({ open = {}, list = {}, size = 0 }, DecisionLog) end

local function open_count(self, made, verb, hour_ms)
  local key = concat({ hour_ms, made.key_id, made.api_id, made.stage, verb, made.resource_path }, "\0")
  local count = self.open[key]
  if count or self.size >= OPEN_MAX then return count end
  count = {
    key = key, hour_ms = hour_ms, key_id = made.key_id, api_id = made.api_id, stage = made.stage, verb = verb,
    resource_path = made.resource_path, allowed = 0,
  }
  self.open[key] = count
  self.size = self.size + 1
  self.list[self.size] = count
  return count
end

--- One more call of a policy's method at an instant of business time. False when there is no room.
function DecisionLog:add(made, verb, at_ms)
  local count = made.allowed[verb]
  if not count or count.is_told or at_ms < count.hour_ms or at_ms >= count.hour_ms + HOUR_MS then
    count = open_count(self, made, verb, at_ms - at_ms % HOUR_MS)
    if not count then return false end
    made.allowed[verb] = count
  end
  count.allowed = count.allowed + 1
  return true
end

local function to_wire(count)
  return {
    hour = os.date("!%Y-%m-%dT%H:00:00Z", count.hour_ms / 1000), keyId = count.key_id, apiId = count.api_id,
    stage = count.stage, method = count.verb, resourcePath = count.resource_path, allowed = count.allowed,
  }
end

--- Takes out the oldest counts, as the service reads them; nil when there are none. What is not taken stays.
function DecisionLog:take()
  if self.size == 0 then return nil end
  local wires, kept = {}, {}
  for index, count in ipairs(self.list) do
    if index <= DecisionLog.BATCH_MAX then
      count.is_told = true
      self.open[count.key] = nil
      wires[index] = to_wire(count)
    else
      kept[#kept + 1] = count
    end
  end
  self.list, self.size = kept, #kept
  return wires
end

return DecisionLog
