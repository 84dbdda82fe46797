--- What the client of a call is told: Amazon API Gateway's status, message and x-amzn-ErrorType for a refusal, and the
-- fields of draft-ietf-httpapi-ratelimit-headers-10. The words are those of libs/limits/src/refusal.ts.
local ceil, floor, max, min, huge = math.ceil, math.floor, math.max, math.min, math.huge
local format, match = string.format, string.match

local DAY_SECONDS = 86400
local INTEGER_MAX = 999999999999999

local FORBIDDEN = { status = 403, message = "Forbidden", error_type = "ForbiddenException" }
local THROTTLED = { status = 429, message = "Too Many Requests", error_type = "TooManyRequestsException" }
local QUOTA = { status = 429, message = "Limit Exceeded", error_type = "LimitExceededException" }
local UNAVAILABLE = { status = 503, message = "Service Unavailable", error_type = "ServiceUnavailableException" }

local ANSWERS = { throttled = THROTTLED, ["quota-exceeded"] = QUOTA, unavailable = UNAVAILABLE }

--- Amazon's answer to a refusal. Who is refused learns nothing of why the key was no good.
local function of_reason(reason) return ANSWERS[reason] or FORBIDDEN end

--- The number of an Integer of Structured Fields (RFC 9651): not negative, at most 15 digits.
local function whole(value) return min(INTEGER_MAX, max(0, floor(value))) end

local function integer(value) return format("%d", whole(value)) end

--- Whole seconds, at least 1; a day where waiting never helps.
local function retry_after(ms)
  if ms == huge then return tostring(DAY_SECONDS) end
  return integer(max(1, ceil(ms / 1000)))
end

--- `RateLimit-Policy` of the key's bucket and its quota; nil without either. It changes only with the plan.
local function policy_field(throttle, quota)
  local parts = {}
  if throttle then
    local window = throttle.burstLimit / throttle.rateLimit
    local shown = window < huge and window == window
    parts[1] = '"key";q=' .. integer(throttle.burstLimit) .. (shown and ";w=" .. integer(ceil(window)) or "")
  end
  if quota then
    parts[#parts + 1] = '"quota";q=' .. integer(quota.limit)
      .. ";w=" .. integer(ceil((quota.to_ms - quota.from_ms) / 1000))
  end
  return #parts > 0 and table.concat(parts, ", ") or nil
end

--- `RateLimit`: what is left of the key's bucket and after how many seconds a unit comes back (nil: never), what is left
-- of the quota and for how many seconds. Nil is no bucket, or no quota. Both are one text, made in one step.
local function state_field(of_key, wait, of_quota, seconds)
  if of_key and wait and of_quota then
    return format('"key";r=%d;t=%d, "quota";r=%d;t=%d', whole(of_key), whole(wait), whole(of_quota), whole(seconds))
  end
  local states = {}
  if of_key then states[1] = '"key";r=' .. integer(of_key) .. (wait and ";t=" .. integer(wait) or "") end
  if of_quota then states[#states + 1] = '"quota";r=' .. integer(of_quota) .. ";t=" .. integer(seconds) end
  return table.concat(states, ", ")
end

local DAYS = { 0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334 }

--- Milliseconds since 1970 of `2026-11-22T07:31:00.000Z`; nil when it is no such text.
local function instant(text)
  local year, month, day, hour, minute, second =
    match(text, "^(%d%d%d%d)-(%d%d)-(%d%d)T(%d%d):(%d%d):(%d%d%.?%d*)Z$")
  if not year then return nil end
  year, month = tonumber(year), tonumber(month)
  if month < 1 or month > 12 then return nil end
  local is_leap = (year % 4 == 0 and year % 100 ~= 0) or year % 400 == 0
  local before = year - 1
  local days = 365 * (year - 1970) + floor(before / 4) - floor(before / 100) + floor(before / 400) - 477
    + DAYS[month] + ((is_leap and month > 2) and 1 or 0) + tonumber(day) - 1
  return ((days * 24 + tonumber(hour)) * 60 + tonumber(minute)) * 60000 + tonumber(second) * 1000
end

--- The fields as a decision of `POST /v1/decisions` gives them: policy and state, or nil. It does not tell windows.
local function fields_of_decision(decision, now_ms)
  local policies, states = {}, {}
  for _, pair in ipairs({ { "key", decision.rate }, { "quota", decision.quota } }) do
    local name, state = pair[1], pair[2]
    if state then
      local resets_at = instant(state.resetsAt)
      policies[#policies + 1] = '"' .. name .. '";q=' .. integer(state.limit)
      states[#states + 1] = '"' .. name .. '";r=' .. integer(state.remaining)
        .. (resets_at and ";t=" .. integer(max(0, ceil((resets_at - now_ms) / 1000))) or "")
    end
  end
  if #policies == 0 then return nil end
  return table.concat(policies, ", "), table.concat(states, ", ")
end

return {
  of_reason = of_reason,
  retry_after = retry_after,
  policy_field = policy_field,
  state_field = state_field,
  fields_of_decision = fields_of_decision,
  instant = instant,
}
