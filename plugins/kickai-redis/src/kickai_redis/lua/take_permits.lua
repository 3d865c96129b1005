-- KEYS: facts, windows. ARGV: schema, name, amount, limit, duration of a window.
-- A window is kept as 'end duration number used'. Return the number of permits, the number of the window, and the time
-- left; nothing if there is no permit.
local now = get_time()
local kept = redis.call('HGET', KEYS[2], ARGV[2])
local number, used, ends, duration = nil, 0, now + tonumber(ARGV[5]), tonumber(ARGV[5])
if kept then
  local kept_ends, kept_duration, kept_number, kept_used = string.match(kept, '^(%d+) (%d+) (%d+) (%d+)$')
  if find_left(kept_ends, kept_duration, now) > 0 then
    number, used, ends, duration = kept_number, tonumber(kept_used), tonumber(kept_ends), tonumber(kept_duration)
  end
end
local granted = math.min(tonumber(ARGV[3]), tonumber(ARGV[4]) - used)
if granted <= 0 then
  return {}
end
begin()
if not kept then  -- now and then, forget those that have ended
  local windows = redis.call('HGETALL', KEYS[2])
  for place = 1, #windows, 2 do
    local kept_ends, kept_duration = string.match(windows[place + 1], '^(%d+) (%d+) ')
    if find_left(kept_ends, kept_duration, now) == 0 then
      redis.call('HDEL', KEYS[2], windows[place])
    end
  end
end
number = number or count_up('window', now)
local text = format(ends) .. ' ' .. format(duration) .. ' ' .. number .. ' ' .. format(used + granted)
redis.call('HSET', KEYS[2], ARGV[2], text)
return {format(granted), number, format(ends - now)}
