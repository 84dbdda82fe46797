--- The news of changed policies: `GET /v1/gateway/events`, held by one worker at a time, told to all by shared memory.
local cjson = require "cjson.safe"
local Policies = require "tollgate.policies"

local match = string.match

--- A stream that is silent for so many seconds is dead; a read waits so long before it looks whether to stop.
local SILENCE_MAX, LOOK_EVERY_MS = 25, 200
local PAUSE_MAX = 5
--- The worker that has the stream says so for this many seconds; when it is gone, another takes it.
local CLAIM = 2

local function claim(state) return state:add("stream", ngx.worker.pid(), CLAIM) end

local function announce(state, event)
  if event.name == "reset" then return Policies.announce(state) end
  if event.name ~= "change" then return end
  local change = cjson.decode(event.data)
  Policies.announce(state, type(change) == "table" and type(change.keyId) == "string" and change.keyId or nil)
end

--- Reads events until the stream is over; returns why it is.
local function follow(gateway, read)
  local heard_at, event = ngx.now(), {}
  while not ngx.worker.exiting() do
    local line, fault = read()
    local now = ngx.now()
    gateway.state:set("stream", ngx.worker.pid(), CLAIM)
    if line then
      heard_at = now
      if line == "" then
        -- Who forgets because of the event tells the service that it has been heard; only what has been told to all
        -- workers counts as received.
        if event.id then gateway.state:set("seen", event.id) end
        if event.name then announce(gateway.state, event) end
        if event.id then gateway.state:set("last_event_id", event.id) end
        event = {}
      else
        local field, value = match(line, "^(%w+): ?(.*)$")
        if field == "event" then event.name = value
        elseif field == "data" then event.data = (event.data or "") .. value
        elseif field == "id" then event.id = value end
      end
    elseif fault ~= "timeout" then
      return fault
    elseif now - heard_at > SILENCE_MAX then
      return "silent"
    end
  end
  return "stopped"
end

--- Follows the events until this worker stops. Each new stream that was not resumed begins with `reset`.
local function run(gateway)
  local pause = 0.1
  while not ngx.worker.exiting() do
    while not claim(gateway.state) do
      ngx.sleep(LOOK_EVERY_MS / 1000)
      if ngx.worker.exiting() then return end
    end
    local last = gateway.state:get("last_event_id")
    local headers = "Accept: text/event-stream\r\n" .. (last and "Last-Event-ID: " .. last .. "\r\n" or "")
    local started_at = ngx.now()
    local read, close = gateway.client:stream("/v1/gateway/events", headers, LOOK_EVERY_MS)
    local fault = close
    if read then
      gateway:tell_events(nil)
      fault = follow(gateway, read)
      gateway.state:delete("seen")
      close()
    end
    gateway.state:delete("stream")
    if fault ~= "stopped" then gateway:tell_events(fault) end
    pause = ngx.now() - started_at > 10 and 0.1 or math.min(PAUSE_MAX, pause * 2)
    if not ngx.worker.exiting() then ngx.sleep(pause) end
  end
end

return { run = run }
