-- KEYS: facts, windows. Return for each window that has not ended its name, the time left, and its text.
local now = get_time()
local windows, found = redis.call('HGETALL', KEYS[2]), {}
for place = 1, #windows, 2 do
  local ends, duration = string.match(windows[place + 1], '^(%d+) (%d+) ')
  local left = find_left(ends, duration, now)
  if left > 0 then
    found[#found + 1] = windows[place]
    found[#found + 1] = format(left)
    found[#found + 1] = windows[place + 1]
  end
end
return found
