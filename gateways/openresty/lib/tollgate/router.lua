--- Finds the method of a path. The same rules as libs/limits/src/method-router.ts: a literal segment beats
-- `{param}` beats `{proxy+}`, the verb itself beats ANY; where the best resource lacks the verb, the next best
-- that has it is taken. A trailing slash is ignored. A trie: a match visits no node twice, whatever the path.
local byte, find, sub = string.byte, string.find, string.sub
local SLASH = 0x2f

local Router = {}
Router.__index = Router

local function a_node()
  return { literals = {}, parameter = nil, greedy = nil, methods = {} }
end

local function child(node, segment)
  if sub(segment, 1, 1) == "{" and sub(segment, -1) == "}" then
    local kind = sub(segment, -2) == "+}" and "greedy" or "parameter"
    node[kind] = node[kind] or a_node()
    return node[kind]
  end
  node.literals[segment] = node.literals[segment] or a_node()
  return node.literals[segment]
end

--- Where the path ends: the root is empty, and a trailing slash does not count.
local function end_of(path)
  local length = #path
  return byte(path, length) == SLASH and length - 1 or length
end

local function method_of(node, verb)
  return node.methods[verb] or node.methods.ANY
end

--- `at` is the slash before the next segment, or past the end.
local function search(node, verb, path, last, at)
  if at > last then return method_of(node, verb) end
  local slash = find(path, "/", at + 1, true)
  local next_at = (slash and slash <= last) and slash or last + 1
  local literal = node.literals[sub(path, at + 1, next_at - 1)]
  local found = literal and search(literal, verb, path, last, next_at)
  if found or next_at == at + 1 then return found or nil end
  return (node.parameter and search(node.parameter, verb, path, last, next_at))
    or (node.greedy and method_of(node.greedy, verb))
    or nil
end

--- A router over methods `{ httpMethod, resourcePath, … }`; of two of one shape and verb the first holds.
function Router.new(methods)
  local self = setmetatable({ root = a_node() }, Router)
  for _, method in ipairs(methods) do
    local template = method.resourcePath
    local node, last, at = self.root, end_of(template), 1
    while at <= last do
      local slash = find(template, "/", at + 1, true)
      local next_at = (slash and slash <= last) and slash or last + 1
      node = child(node, sub(template, at + 1, next_at - 1))
      at = next_at
    end
    node.methods[method.httpMethod] = node.methods[method.httpMethod] or method
  end
  return self
end

--- The method that answers the verb (upper case) at the canonical path, or nil.
function Router:match(verb, path)
  return search(self.root, verb, path, end_of(path), 1)
end

return Router
