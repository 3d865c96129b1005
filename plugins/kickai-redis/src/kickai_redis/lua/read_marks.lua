-- KEYS: facts, marks. Return for each mark its field, the time left, and its text.
local now = get_time()
local marks, found = redis.call('HGETALL', KEYS[2]), {}
for place = 1, #marks, 2 do
  local ends, duration = string.match(marks[place + 1], '^(%d+) (%d+) ')
  local left = find_left(ends, duration, now)
  if left > 0 then
    found[#found + 1] = marks[place]
    found[#found + 1] = format(left)
    found[#found + 1] = marks[place + 1]
  end
end
return found
