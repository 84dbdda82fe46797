--- Tollgate for Kong: decisions in `access`, usage from `log` through Kong's queue. See README.md.
local Queue = require "kong.tools.queue"
local Gateway = require "tollgate.gateway"
local Records = require "tollgate.records"

local kong, ngx = kong, ngx
local pairs, tonumber, type = pairs, tonumber, type

local HEADERS_MAX = 200
local OURS = "x-tollgate-"

local Tollgate = {
  -- Before Kong's own rate limits (910) and after its authentication (1250 and less), so that a consumer is known.
  PRIORITY = 915,
  VERSION = "0.1.0",
}

--- A batch takes that many records, so at most that many calls go into one.
local CALLS_MAX = 5000

-- Kong loads plugins before it forks its workers, which so know when a reload replaces them.
local generation = ngx.get_phase() == "init" and ngx.shared.tollgate and Gateway.load() or nil

--- The gateway of this worker, and the configuration that it was connected with.
local gateway, connected

--- The gateway, or nil and why there is none. One service and one token for each Kong: keys, leases and usage are in one
-- shared memory.
local function gateway_of(conf)
  if not gateway then
    if not ngx.shared.tollgate then return nil, "there is no lua_shared_dict tollgate" end
    gateway = Gateway.new({
      url = conf.url, token = conf.token, deadline_ms = conf.deadline_ms, on_failure = conf.on_failure,
    })
    connected = conf
    gateway:start(generation, false)
  end
  if connected.url ~= conf.url or connected.token ~= conf.token then
    return nil, "all configurations must have one url and token"
  end
  return gateway
end

--- Kong calls it in each worker with all configurations, at the start and when they change (Kong 3.5 and newer; before,
-- a worker connects with its first call, and takes a new token with a reload).
function Tollgate:configure(configs)
  local conf = configs and configs[1]
  if not conf then return end
  if gateway and (connected.url ~= conf.url or connected.token ~= conf.token) then
    gateway:connect(conf.url, conf.token)
    connected = conf
  end
  local _, fault = gateway_of(conf)
  if fault then kong.log.err("tollgate: ", fault) end
end

--- The stages that configurations protect; Kong keeps a configuration until it changes.
local stages = setmetatable({}, { __mode = "k" })

local function stage_of(conf)
  local stage = stages[conf]
  if not stage then
    stage = Gateway.stage(conf.api_id, conf.stage, conf.cost)
    stages[conf] = stage
  end
  return stage
end

local function refuse(refused)
  gateway.counts.refused = gateway.counts.refused + 1
  local status, headers, body = gateway:refusal_answer(refused)
  return kong.response.exit(status, body, headers)
end

function Tollgate:access(conf)
  local ready, fault = gateway_of(conf)
  if not ready then
    kong.log.err("tollgate: ", fault)
    return kong.response.exit(503, '{"message":"Service Unavailable"}', { ["Content-Type"] = "application/json" })
  end
  local headers, is_cut = kong.request.get_headers(HEADERS_MAX)
  local api_key = headers["x-api-key"]
  if is_cut or type(api_key) == "table" then return refuse({ reason = "unknown-key" }) end
  for name in pairs(headers) do
    if name:sub(1, #OURS) == OURS then kong.service.request.clear_header(name) end
  end
  local verb = kong.request.get_method()
  local made, refused =
    gateway:decide(stage_of(conf), api_key, verb, kong.request.get_raw_path(), kong.client.get_forwarded_ip)
  if not made then return refuse(refused) end

  gateway.counts.allowed = gateway.counts.allowed + 1
  kong.service.request.clear_header("X-Api-Key")
  kong.service.request.set_header("X-Tollgate-Key-Id", made.key_id or "")
  kong.service.request.set_header("X-Tollgate-Customer-Id", made.customer_id or "")
  kong.service.request.set_header("X-Tollgate-Decision-Id", made.decision_id or gateway:decision_id())
  kong.service.request.set_header("X-Tollgate-Resource-Path", made.resource_path)
  local context = kong.ctx.plugin
  context.policy, context.state = gateway:limit_fields(made)
  context.made, context.verb, context.at_ms = made, verb, gateway:now_ms()
  gateway.open_calls = gateway.open_calls + 1
end

--- In place of what the application says of its own limits.
function Tollgate:header_filter()
  local context = kong.ctx.plugin
  if not context.policy then return end
  kong.response.set_header("RateLimit-Policy", context.policy)
  kong.response.set_header("RateLimit", context.state)
end

--- Sends entries of the queue; Kong calls it again with the same ones until it returns true. Entries get the number and
-- the bytes of their batch the first time, so that a repeat is the same to the byte, also when the queue has dropped
-- some of them meanwhile.
local function send(_, entries)
  local batches, new = {}, {}
  local function number()
    -- The last call that was allowed is not in the queue before it was counted: the last batch tells all that is left.
    local batch = gateway.usage:number(Records.of_calls(new), true)
    for _, entry in ipairs(new) do entry.batch = batch end
    batches[#batches + 1], new = batch, {}
  end
  for _, entry in ipairs(entries) do
    if not entry.batch then
      new[#new + 1] = entry
      if #new == CALLS_MAX then number() end
    elseif batches[#batches] ~= entry.batch then
      batches[#batches + 1] = entry.batch
    end
  end
  if #new > 0 then number() end
  for _, batch in ipairs(batches) do
    batch.is_over = batch.is_over or gateway.usage:attempt(batch)
    if not batch.is_over then return nil, "the service did not take batch " .. batch.sequence end
  end
  return true
end

--- Kong's settings of a queue; the name of the function changed with Kong 3.4.
local function queue_of(conf)
  local name = "tollgate"
  if Queue.get_plugin_params then return Queue.get_plugin_params("tollgate", conf, name) end
  local params = Queue.get_params(conf)
  params.name = name
  return params
end

function Tollgate:log(conf)
  local context = kong.ctx.plugin
  local made = context.made
  if not made then return end
  gateway.open_calls = gateway.open_calls - 1
  if not made.key_id then return end
  local ok, fault = Queue.enqueue(queue_of(conf), send, conf, {
    made = made, verb = context.verb, at_ms = context.at_ms, status = kong.response.get_status(),
    bytes = tonumber(ngx.var.body_bytes_sent) or 0, is_http = conf.protocol == "HTTP",
  })
  if not ok then kong.log.err("tollgate: a call is not metered: ", fault) end
end

return Tollgate
