--- The path of a request target, without its query, in the one form that is matched. The same rules as
-- libs/limits/src/canonical-path.ts, held to it by a differential test.
local byte, char, find, sub, upper = string.byte, string.char, string.find, string.sub, string.upper
local concat = table.concat

local LENGTH_MAX = 4096
local SLASH, PERCENT, DOT, SEMICOLON, BACKSLASH = 0x2f, 0x25, 0x2e, 0x3b, 0x5c

--- The value of a hexadecimal digit, nil of anything else, also past the end.
local function hex(code)
  if not code then return nil end
  if code >= 0x30 and code <= 0x39 then return code - 0x30 end
  if code >= 0x41 and code <= 0x46 then return code - 0x37 end
  if code >= 0x61 and code <= 0x66 then return code - 0x57 end
  return nil
end

local function is_hex_pair(text, at)
  return hex(byte(text, at)) ~= nil and hex(byte(text, at + 1)) ~= nil
end

--- ALPHA / DIGIT / "-" / "." / "_" / "~" (RFC 3986 section 2.3).
local function is_unreserved(code)
  return (code >= 0x61 and code <= 0x7a) or (code >= 0x41 and code <= 0x5a)
    or (code >= 0x30 and code <= 0x39)
    or code == 0x2d or code == DOT or code == 0x5f or code == 0x7e
end

local function has_double_encoding(path)
  local at = find(path, "%25", 1, true)
  while at do
    if is_hex_pair(path, at + 3) then return true end
    at = find(path, "%25", at + 3, true)
  end
  return false
end

--- Unreserved characters decoded (RFC 3986 section 6.2.2.2), other encodings in upper case.
-- Returns the path and whether decoding changed it, or nil and the fault.
local function decode(target, allows_encoded_separators)
  local parts, n, from, is_changed = {}, 0, 1, false
  local at = find(target, "%", 1, true)
  while at do
    if not is_hex_pair(target, at + 1) then return nil, "malformed-encoding" end
    local code = hex(byte(target, at + 1)) * 16 + hex(byte(target, at + 2))
    if code == 0 then return nil, "encoded-nul" end
    if not allows_encoded_separators then
      if code == SLASH or code == BACKSLASH then return nil, "encoded-separator" end
      if code == PERCENT and is_hex_pair(target, at + 3) then return nil, "double-encoding" end
    end
    parts[n + 1] = sub(target, from, at - 1)
    if is_unreserved(code) then
      parts[n + 2] = char(code)
      is_changed = true
    else
      parts[n + 2] = upper(sub(target, at, at + 2))
    end
    n = n + 2
    from = at + 3
    at = find(target, "%", from, true)
  end
  parts[n + 1] = sub(target, from)
  local path = concat(parts)
  -- Decoding can itself make an encoding of what stood apart: `%25%41a` is `%25Aa`.
  if is_changed and not allows_encoded_separators and has_double_encoding(path) then
    return nil, "double-encoding"
  end
  return path, is_changed
end

--- The segments after the first slash.
local function segments_of(path)
  local segments, n, from = {}, 0, 2
  while true do
    local slash = find(path, "/", from, true)
    n = n + 1
    segments[n] = sub(path, from, slash and slash - 1 or #path)
    if not slash then return segments, n end
    from = slash + 1
  end
end

--- A segment as servers see it that cut `;params` off, as Java's do: `..;x` is `..` to them.
local function without_params(segment)
  local at = find(segment, ";", 1, true)
  return at and sub(segment, 1, at - 1) or segment
end

--- Dot segments and, but for a trailing slash, empty segments.
local function has_odd_segments(segments, n)
  for at = 1, n do
    local segment = segments[at]
    local name = without_params(segment)
    if segment == "" then
      if at ~= n then return true end
    elseif name == "" or name == "." or name == ".." then
      return true
    end
  end
  return false
end

--- RFC 3986 section 5.2.4, with empty segments merged; nil when the path climbs above the root.
local function without_odd_segments(segments, n)
  local kept, size = {}, 0
  for at = 1, n do
    local name = without_params(segments[at])
    if name == ".." then
      if size == 0 then return nil end
      kept[size] = nil
      size = size - 1
    elseif name ~= "" and name ~= "." then
      size = size + 1
      kept[size] = segments[at]
    end
  end
  local last = without_params(segments[n])
  local ends_in_slash = size > 0 and (last == "" or last == "." or last == "..")
  return "/" .. concat(kept, "/") .. (ends_in_slash and "/" or "")
end

--- The canonical path and whether it is ambiguous, or nil and the fault.
-- `ambiguous_path` is "refuse", "strictest" or "normalise". A clean path costs one scan and no copy.
local function canonical_path(raw, ambiguous_path, allows_encoded_separators)
  if byte(raw, 1) ~= SLASH then return nil, "not-absolute" end
  local is_clean, has_encoding, previous = true, false, 0
  local length = #raw
  local stop = length
  for at = 1, length do
    local code = byte(raw, at)
    if code == 0x3f or code == 0x23 then
      stop = at - 1
      break
    end
    if at > LENGTH_MAX then return nil, "too-long" end
    if code < 0x20 or code == 0x7f then return nil, "control-character" end
    if code == BACKSLASH then return nil, "backslash" end
    if code > 0x7f then return nil, "non-ascii" end
    if code == PERCENT then
      has_encoding = true
    elseif previous == SLASH and (code == SLASH or code == DOT or code == SEMICOLON) then
      is_clean = false
    end
    previous = code
  end
  local path = stop == length and raw or sub(raw, 1, stop)
  if is_clean and not has_encoding then return path, false end

  local is_changed = false
  if has_encoding then
    local decoded, outcome = decode(path, allows_encoded_separators)
    if not decoded then return nil, outcome end
    path, is_changed = decoded, outcome
  end
  local segments, n = segments_of(path)
  local is_odd = has_odd_segments(segments, n)
  if not is_changed and not is_odd then return path, false end
  if ambiguous_path == "refuse" then return nil, "ambiguous" end
  if is_odd then
    path = without_odd_segments(segments, n)
    if not path then return nil, "above-root" end
  end
  return path, true
end

return canonical_path
