--- A new name for this nginx: a ULID, 26 characters of Crockford's base32, so that epochs sort by their start.
local CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
local floor = math.floor

local function digit(value) return CROCKFORD:sub(value + 1, value + 1) end

--- Random bytes of the system; blocks nothing, so it may be asked while nginx starts.
local function random_bytes(count)
  local source = assert(io.open("/dev/urandom", "rb"))
  local bytes = source:read(count)
  source:close()
  assert(bytes and #bytes == count, "/dev/urandom gave too little")
  return bytes
end

--- `now_ms` is the epoch's start.
local function new(now_ms)
  local text, rest = "", floor(now_ms)
  for _ = 1, 10 do
    text = digit(rest % 32) .. text
    rest = floor(rest / 32)
  end
  for _, value in ipairs({ random_bytes(16):byte(1, 16) }) do text = text .. digit(value % 32) end
  return text
end

return { new = new, random_bytes = random_bytes }
