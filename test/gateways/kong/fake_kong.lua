--- As much of Kong as the plugin touches, over plain nginx: its plugin development kit, its queue, its schema types.
-- The queue keeps Kong's contract: a handler gets a new list of the same entries until it returns true.
local fake = {}

local function header_filter_of(name, value) ngx.header[name] = value end

kong = {
  request = {
    get_headers = ngx.req.get_headers,
    get_method = ngx.req.get_method,
    get_raw_path = function() return (ngx.var.request_uri:match("^[^?]*")) end,
  },
  service = { request = { set_header = ngx.req.set_header, clear_header = ngx.req.clear_header } },
  client = { get_forwarded_ip = function() return ngx.var.remote_addr end },
  response = {
    set_header = header_filter_of,
    get_status = function() return ngx.status end,
    exit = function(status, body, headers)
      ngx.status = status
      for name, value in pairs(headers) do ngx.header[name] = value end
      ngx.print(body)
      return ngx.exit(status)
    end,
  },
  log = { err = function(...) ngx.log(ngx.ERR, ...) end },
  ctx = setmetatable({}, {
    __index = function(_, name)
      ngx.ctx[name] = ngx.ctx[name] or {}
      return ngx.ctx[name]
    end,
  }),
}

local queues = {}

local function process(queue)
  while #queue.entries > 0 do
    local count = math.min(#queue.entries, queue.conf.max_batch_size)
    while not queue.handler(queue.handler_conf, { unpack(queue.entries, 1, count) }) do ngx.sleep(0.05) end
    for _ = 1, count do table.remove(queue.entries, 1) end
  end
  queues[queue.conf.name] = nil
end

package.loaded["kong.tools.queue"] = {
  get_plugin_params = function(_, conf, name)
    local params = { name = name }
    for option, value in pairs(conf.queue) do params[option] = value end
    return params
  end,
  enqueue = function(conf, handler, handler_conf, entry)
    assert(type(conf.name) == "string" and conf.max_batch_size >= 200)
    local queue = queues[conf.name]
    if not queue then
      queue = { conf = conf, handler = handler, handler_conf = handler_conf, entries = {} }
      queues[conf.name] = queue
      ngx.timer.at(0.1, function() process(queue) end)
    end
    queue.handler_conf = handler_conf
    table.insert(queue.entries, entry)
    return true
  end,
}

local function typed(kind)
  return function(given)
    given.type = given.type or kind
    return given
  end
end

package.loaded["kong.db.schema.typedefs"] = {
  no_consumer = { type = "foreign", reference = "consumers", eq = ngx.null },
  protocols_http = { type = "set", default = { "http", "https" } },
  url = typed("string"),
  queue = typed("record"),
}

--- The configuration that Kong would make of `given`: defaults filled in, required fields and choices checked.
function fake.config(given)
  local conf = {}
  for _, field in ipairs(require("kong.plugins.tollgate.schema").fields[3].config.fields) do
    local name, rule = next(field)
    assert(type(rule.type) == "string", name .. " has no type")
    local value = given[name]
    if value == nil then value = rule.default end
    assert(value ~= nil or not rule.required, name .. " is required")
    local kinds = { string = "string", integer = "number", record = "table" }
    assert(value == nil or type(value) == kinds[rule.type], name .. " is no " .. rule.type)
    if rule.one_of then
      local is_one = false
      for _, choice in ipairs(rule.one_of) do is_one = is_one or choice == value end
      assert(is_one, name .. " is not one of its choices")
    end
    conf[name] = value
  end
  for name in pairs(given) do assert(conf[name] ~= nil, name .. " is no field") end
  return conf
end

return fake
