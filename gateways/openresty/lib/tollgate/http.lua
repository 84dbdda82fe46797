--- A small HTTP/1.1 client over cosockets: kept-alive connections, a hard deadline, a body of known length or chunked.
local find, lower, match, sub = string.find, string.lower, string.match, string.sub
local concat, max = table.concat, math.max
local tonumber = tonumber

local Http = {}
Http.__index = Http

--- The service closes idle connections after five seconds.
local KEEP_MS, KEPT_MAX = 4000, 64
local BODY_MAX = 16 * 1024 * 1024

--- A client of the service at `url` for the gateway with this token. Raises when the URL is none.
function Http.new(url, token)
  local scheme, authority, prefix = match(url, "^(https?)://([^/?#]+)([^?#]*)$")
  assert(scheme, "tollgate: url must be http://host[:port] or https://host[:port]")
  local host, port = match(authority, "^(.-):(%d+)$")
  host = host or authority
  return setmetatable({
    is_tls = scheme == "https",
    host = match(host, "^%[(.*)%]$") or host,
    connect_host = host,
    port = tonumber(port) or (scheme == "https" and 443 or 80),
    prefix = match(prefix, "^(.-)/*$"),
    head = "Host: " .. authority .. "\r\nAuthorization: Bearer " .. token .. "\r\nUser-Agent: tollgate-lua\r\n",
  }, Http)
end

local function left_ms(until_at)
  ngx.update_time()
  return (until_at - ngx.now()) * 1000
end

--- A connected socket, or nil and why not.
local function connect(self, budget_ms)
  local socket = ngx.socket.tcp()
  socket:settimeouts(budget_ms, budget_ms, budget_ms)
  local ok, fault = socket:connect(self.connect_host, self.port)
  if not ok then return nil, fault end
  if self.is_tls and socket:getreusedtimes() == 0 then
    ok, fault = socket:sslhandshake(nil, self.host, true)
    if not ok then return nil, fault end
  end
  return socket
end

--- Status and headers (names in lower case), or nil and why not.
local function read_head(socket)
  local line, fault = socket:receive("*l")
  if not line then return nil, fault end
  local status = tonumber(match(line, "^HTTP/1%.[01] (%d%d%d)"))
  if not status then return nil, "no HTTP answer" end
  local headers = {}
  while true do
    line, fault = socket:receive("*l")
    if not line then return nil, fault end
    if line == "" then break end
    local name, value = match(line, "^([^:]+):[ \t]*(.-)[ \t]*$")
    if name then headers[lower(name)] = value end
  end
  if status >= 100 and status < 200 then return read_head(socket) end
  return status, headers
end

local function read_chunked(socket)
  local parts, size = {}, 0
  while true do
    local line, fault = socket:receive("*l")
    if not line then return nil, fault end
    local length = tonumber(match(line, "^%x+"), 16)
    if not length then return nil, "a chunk without a length" end
    size = size + length
    if size > BODY_MAX then return nil, "the answer is too long" end
    if length == 0 then break end
    parts[#parts + 1], fault = socket:receive(length)
    if fault then return nil, fault end
    line, fault = socket:receive("*l")
    if not line then return nil, fault end
  end
  repeat
    local line, fault = socket:receive("*l")
    if not line then return nil, fault end
  until line == ""
  return concat(parts)
end

local function read_body(socket, headers)
  if find(lower(headers["transfer-encoding"] or ""), "chunked", 1, true) then return read_chunked(socket) end
  local length = tonumber(headers["content-length"])
  if not length then return nil, "the answer has no length" end
  if length > BODY_MAX then return nil, "the answer is too long" end
  if length == 0 then return "" end
  return socket:receive(length)
end

local function request_once(self, text, until_at)
  local budget_ms = max(1, left_ms(until_at))
  local socket, fault = connect(self, budget_ms)
  if not socket then return nil, fault end
  local is_reused = socket:getreusedtimes() > 0
  local function fail(why)
    socket:close()
    return nil, why, is_reused and (why == "closed" or why == "connection reset by peer" or why == "broken pipe")
  end
  local ok
  ok, fault = socket:send(text)
  if not ok then return fail(fault) end
  socket:settimeout(max(1, left_ms(until_at)))
  local status, headers = read_head(socket)
  if not status then return fail(headers) end
  socket:settimeout(max(1, left_ms(until_at)))
  local body
  body, fault = read_body(socket, headers)
  if not body then
    socket:close()
    return nil, fault
  end
  if lower(headers.connection or "") == "close" then socket:close() else socket:setkeepalive(KEEP_MS, KEPT_MAX) end
  return { status = status, headers = headers, body = body }
end

--- Posts JSON. Returns `{ status, headers, body }`, or nil and why there is none within the deadline. A kept connection
-- that the service closed in the same moment is tried once more. Names no secret.
function Http:post(path, body, deadline_ms)
  local until_at = ngx.now() + deadline_ms / 1000
  local text = "POST " .. self.prefix .. path .. " HTTP/1.1\r\n" .. self.head
    .. "Content-Type: application/json\r\nContent-Length: " .. #body .. "\r\n\r\n" .. body
  local answer, fault, is_stale = request_once(self, text, until_at)
  if answer or not is_stale or left_ms(until_at) < 1 then return answer, fault end
  return request_once(self, text, until_at)
end

--- Lines of a body that never ends, chunked or not. `read()` answers a line, or nil and "timeout" when there was none
-- within `timeout_ms`, or nil and why the stream is over.
local function line_reader(socket, is_chunked, timeout_ms)
  local buffer, raw = "", ""
  local missing = 0
  local function unchunk()
    while is_chunked do
      if missing > 0 then
        if raw == "" then return true end
        local part = sub(raw, 1, missing)
        buffer, raw, missing = buffer .. part, sub(raw, #part + 1), missing - #part
      else
        local length, rest = match(raw, "^\r?\n?(%x+)[^\r\n]*\r\n(.*)$")
        if not length then return true end
        missing, raw = tonumber(length, 16), rest
        if missing == 0 then return false end
      end
    end
    buffer, raw = buffer .. raw, ""
    return true
  end
  return function()
    while true do
      local line, rest = match(buffer, "^([^\r\n]*)\r?\n(.*)$")
      if line then
        buffer = rest
        return line
      end
      if #buffer + #raw > BODY_MAX then return nil, "a line is too long" end
      socket:settimeout(timeout_ms)
      local part, fault = socket:receiveany(8192)
      if not part then return nil, fault end
      raw = raw .. part
      if not unchunk() then return nil, "the stream is over" end
    end
  end
end

--- Opens a stream of text. Returns a reader (see above) and a function that closes it, or nil and why not.
function Http:stream(path, headers, timeout_ms)
  local socket, fault = connect(self, 5000)
  if not socket then return nil, fault end
  local ok
  ok, fault = socket:send("GET " .. self.prefix .. path .. " HTTP/1.1\r\n" .. self.head .. headers .. "\r\n")
  if not ok then return nil, fault end
  socket:settimeout(5000)
  local status, answer = read_head(socket)
  local function close() socket:close() end
  if status ~= 200 then
    close()
    return nil, status and "HTTP " .. status or answer
  end
  local is_chunked = find(lower(answer["transfer-encoding"] or ""), "chunked", 1, true) ~= nil
  return line_reader(socket, is_chunked, timeout_ms), close
end


return Http
