-- For wrk: sends the raw requests that the file $REQUESTS names, a path a line, in turn. Long hexadecimal values (such
-- as a cookie) are stamped anew each time, so that no two requests are equal. Prints one line of JSON at the end.
local bit = require("bit")
local requests, at = {}, 0
for path in io.lines(os.getenv("REQUESTS")) do
  local file = assert(io.open(path, "rb"))
  local raw = file:read("*a")
  file:close()
  -- Cut where eight digits are to be put in; only in the head, which is all before the first empty line.
  local head_end = raw:find("\r\n\r\n", 1, true)
  local pieces, from = {}, 1
  for first, digits in raw:sub(1, head_end):gmatch("()(%x+)") do
    if #digits >= 32 then
      pieces[#pieces + 1] = raw:sub(from, first - 1)
      from = first + 8
    end
  end
  pieces[#pieces + 1] = raw:sub(from)
  requests[#requests + 1] = pieces
end

local state = 2463534242
local function stamp()
  state = bit.bxor(state, bit.lshift(state, 13))
  state = bit.bxor(state, bit.rshift(state, 17))
  state = bit.bxor(state, bit.lshift(state, 5))
  return bit.tohex(state)
end

request = function()
  at = at % #requests + 1
  local pieces = requests[at]
  local out = pieces[1]
  for n = 2, #pieces do
    out = out .. stamp() .. pieces[n]
  end
  return out
end

done = function(summary, latency, _)
  local errors = summary.errors
  io.write(string.format(
    '@{"requests":%d,"seconds":%.3f,"p50_us":%d,"p99_us":%d,"refused":%d,"errors":%d}\n',
    summary.requests, summary.duration / 1e6, latency:percentile(50), latency:percentile(99), errors.status,
    errors.connect + errors.read + errors.write + errors.timeout))
end
