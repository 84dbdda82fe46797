--- Stops asking a service that does not answer, so that its deadline is not paid by every call: five failures in a
-- row open it, then one probe a second. `now` is in seconds.
local Breaker = {}
Breaker.__index = Breaker

local FAILURES_MAX, PAUSE = 5, 1

function Breaker.new() return setmetatable({ failures = 0, retry_at = 0 }, Breaker) end

--- Whether to ask now. While open, true once per pause: that is the probe.
function Breaker:admits(now)
  if self.failures < FAILURES_MAX then return true end
  if now < self.retry_at then return false end
  self.retry_at = now + PAUSE
  return true
end

function Breaker:succeeded() self.failures = 0 end

function Breaker:failed(now)
  self.failures = self.failures + 1
  if self.failures >= FAILURES_MAX then self.retry_at = now + PAUSE end
end

return Breaker
