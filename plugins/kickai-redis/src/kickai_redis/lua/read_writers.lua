-- KEYS: facts, writers, seen. ARGV: schema, age up to which they are of interest.
-- Return for each process its name, its last batch, and the age of that.
local now, found = get_time(), {}
local seen = redis.call('ZRANGEBYSCORE', KEYS[3], format(now - tonumber(ARGV[2])), '+inf', 'WITHSCORES')
for place = 1, #seen, 2 do
  local last = redis.call('HGET', KEYS[2], seen[place])
  if last then
    found[#found + 1] = seen[place]
    found[#found + 1] = last
    found[#found + 1] = format(math.max(0, now - tonumber(seen[place + 1])))
  end
end
return found
