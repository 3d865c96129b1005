-- KEYS: facts, and the hash of marks or of windows, whose texts begin with an end and a duration.
-- Return for each field that has not ended its name, the time left, and its text.
local now = get_time()
local fields, found = redis.call('HGETALL', KEYS[2]), {}
for place = 1, #fields, 2 do
  local ends, duration = string.match(fields[place + 1], '^(%d+) (%d+) ')
  local left = find_left(ends, duration, now)
  if left > 0 then
    found[#found + 1] = fields[place]
    found[#found + 1] = format(left)
    found[#found + 1] = fields[place + 1]
  end
end
return found
