--- Tollgate for nginx with the Lua module (Debian's libnginx-mod-http-lua, or OpenResty): see README.md.
local Gateway = require "tollgate.gateway"

local byte, sub = string.byte, string.sub
local get_headers, get_method = ngx.req.get_headers, ngx.req.get_method
local set_header, clear_header = ngx.req.set_header, ngx.req.clear_header

local HEADERS_MAX = 200
local OURS = "x-tollgate-"
local OPTIONS = { url = true, token = true, deadline_ms = true, on_failure = true }

local Nginx = {}
local options, generation, gateway

--- For init_by_lua: where the service is, and who asks. See README.md for the options.
function Nginx.connect(given)
  for name in pairs(given) do assert(OPTIONS[name], "tollgate: no option " .. name) end
  assert(type(given.url) == "string", "tollgate: url is missing")
  assert(type(given.token) == "string" and given.token ~= "", "tollgate: token is missing")
  assert(given.on_failure == nil or given.on_failure == "deny" or given.on_failure == "allow",
    'tollgate: on_failure is "deny" or "allow"')
  options = given
  generation = Gateway.load()
end

--- For init_worker_by_lua.
function Nginx.start()
  assert(options, "tollgate: call connect in init_by_lua")
  gateway = Gateway.new(options)
  gateway:start(generation, true)
end

local function remote_address() return ngx.var.remote_addr end

local function refuse(refused)
  gateway.counts.refused = gateway.counts.refused + 1
  local status, headers, body = gateway:refusal_answer(refused)
  ngx.status = status
  for name, value in pairs(headers) do ngx.header[name] = value end
  ngx.header["Content-Length"] = #body
  ngx.print(body)
  return ngx.exit(status)
end

local function access(self)
  local headers, is_cut = get_headers(HEADERS_MAX)
  local api_key = headers["x-api-key"]
  if is_cut or type(api_key) == "table" then return refuse({ reason = "unknown-key" }) end
  for name in pairs(headers) do
    if byte(name, 1) == 0x78 and byte(name, 3) == 0x74 and sub(name, 1, 11) == OURS then clear_header(name) end
  end
  local verb = get_method()
  local made, refused = gateway:decide(self, api_key, verb, ngx.var.request_uri, remote_address)
  if not made then return refuse(refused) end

  gateway.counts.allowed = gateway.counts.allowed + 1
  set_header("X-Tollgate-Key-Id", made.key_id or "")
  set_header("X-Tollgate-Customer-Id", made.customer_id or "")
  set_header("X-Tollgate-Decision-Id", made.decision_id or gateway:decision_id())
  set_header("X-Tollgate-Resource-Path", made.resource_path)
  local policy, state = gateway:limit_fields(made)
  if policy then
    ngx.header["RateLimit-Policy"] = policy
    ngx.header["RateLimit"] = state
  end
  gateway.open_calls = gateway.open_calls + 1
  local context = ngx.ctx
  context.tollgate = made
  context.tollgate_verb = verb
  context.tollgate_at = gateway:now_ms()
end

local function log(self)
  local context = ngx.ctx
  local made = context.tollgate
  if not made then return end
  gateway.open_calls = gateway.open_calls - 1
  if not made.key_id then return end
  local bytes = tonumber(ngx.var.body_bytes_sent) or 0
  gateway.usage:record(made, context.tollgate_verb, context.tollgate_at, ngx.status, bytes, self.is_http)
end

--- One stage of an api, for init_by_lua: `access()` and `log()` are for access_by_lua and log_by_lua of its locations.
-- `given`: protocol ("REST", or "HTTP" to meter units of 512 KiB too), cost (1).
function Nginx.stage(api_id, stage, given)
  given = given or {}
  local self = Gateway.stage(api_id, stage, given.cost)
  self.is_http = given.protocol == "HTTP"
  return { access = function() return access(self) end, log = function() return log(self) end }
end

--- Counters of this worker.
function Nginx.stats() return gateway.counts end

return Nginx
