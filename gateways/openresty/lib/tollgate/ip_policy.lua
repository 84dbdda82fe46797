--- Which source addresses may use a key, as libs/catalog/src/ip-policy.ts reads them: deny wins; an allow list that
-- has entries admits nobody else; an address that cannot be read passes only a policy without any entry.
-- An address is four or sixteen bytes of text, so that blocks are compared as text.
local byte, char, find, match, rep, sub = string.byte, string.char, string.find, string.match, string.rep, string.sub
local floor = math.floor

local MAPPED = rep("\0", 10) .. "\255\255"

--- Four decimal bytes. Leading zeros are refused: some readers take them for octal.
local function parse_v4(text)
  local a, b, c, d = match(text, "^(%d+)%.(%d+)%.(%d+)%.(%d+)$")
  if not a then return nil end
  local bytes = {}
  for index, digits in ipairs({ a, b, c, d }) do
    if #digits > 3 or (#digits > 1 and sub(digits, 1, 1) == "0") or tonumber(digits) > 255 then return nil end
    bytes[index] = char(tonumber(digits))
  end
  return table.concat(bytes)
end

--- The bytes of one side of `::`; dotted decimal may stand at its end.
local function half(text, may_end_dotted)
  if text == "" then return "" end
  local bytes, from = "", 1
  while true do
    local colon = find(text, ":", from, true)
    local word = sub(text, from, colon and colon - 1 or #text)
    if not colon and find(word, ".", 1, true) then
      local v4 = may_end_dotted and parse_v4(word)
      return v4 and bytes .. v4 or nil
    end
    if #word > 4 or not match(word, "^%x+$") then return nil end
    local value = tonumber(word, 16)
    bytes = bytes .. char(floor(value / 256), value % 256)
    if not colon then return bytes end
    from = colon + 1
  end
end

--- RFC 4291 section 2.2, all three forms; no zones.
local function parse_v6(text)
  local gap = find(text, "::", 1, true)
  if not gap then
    local bytes = half(text, true)
    return bytes and #bytes == 16 and bytes or nil
  end
  if find(text, "::", gap + 1, true) then return nil end
  local head, tail = half(sub(text, 1, gap - 1), false), half(sub(text, gap + 2), true)
  if not head or not tail or #head + #tail > 14 then return nil end
  return head .. rep("\0", 16 - #head - #tail) .. tail
end

local function parse(text)
  local bytes = find(text, ":", 1, true) and parse_v6(text) or parse_v4(text)
  if bytes and #bytes == 16 and sub(bytes, 1, 12) == MAPPED then return sub(bytes, 13) end
  return bytes
end

--- A block as its bytes and how many leading bits count; nil when it is none.
local function parse_block(entry)
  local slash = find(entry, "/", 1, true)
  local text = slash and sub(entry, 1, slash - 1) or entry
  local raw = find(text, ":", 1, true) and parse_v6(text) or parse_v4(text)
  local bits = raw and (slash and tonumber(sub(entry, slash + 1)) or #raw * 8)
  if not bits or bits > #raw * 8 then return nil end
  if #raw == 16 and bits >= 96 and sub(raw, 1, 12) == MAPPED then return { bytes = sub(raw, 13), bits = bits - 96 } end
  return { bytes = raw, bits = bits }
end

local function is_in(block, address)
  if #block.bytes ~= #address then return false end
  local whole = floor(block.bits / 8)
  if sub(block.bytes, 1, whole) ~= sub(address, 1, whole) then return false end
  local rest = block.bits % 8
  if rest == 0 then return true end
  local unit = 2 ^ (8 - rest)
  return floor(byte(block.bytes, whole + 1) / unit) == floor(byte(address, whole + 1) / unit)
end

local function any(blocks, address)
  for _, block in ipairs(blocks) do
    if is_in(block, address) then return true end
  end
  return false
end

--- A test of addresses from `{ allow = {…}, deny = {…} }`; nil when everybody may pass. An entry that cannot be read
-- admits nobody: the service does not store such a policy.
local function compile(policy)
  local lists = {}
  for _, name in ipairs({ "allow", "deny" }) do
    lists[name] = {}
    for index, entry in ipairs(policy[name] or {}) do
      lists[name][index] = parse_block(entry)
      if not lists[name][index] then return function() return false end end
    end
  end
  if #lists.allow == 0 and #lists.deny == 0 then return nil end
  return function(text)
    local address = parse(text)
    if not address then return false end
    return not any(lists.deny, address) and (#lists.allow == 0 or any(lists.allow, address))
  end
end

return { compile = compile }
