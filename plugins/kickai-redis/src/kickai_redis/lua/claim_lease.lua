-- KEYS: facts, leases. ARGV: schema, name, holder, duration. Return whether the holder has the lease.
-- A lease is kept as 'end duration holder'.
local now = get_time()
local held = redis.call('HGET', KEYS[2], ARGV[2])
if held then
  local ends, duration, holder = string.match(held, '^(%d+) (%d+) (.*)$')
  if holder ~= ARGV[3] and find_left(ends, duration, now) > 0 then
    return 0
  end
end
begin()
if not held then  -- now and then, forget those that have ended
  local leases = redis.call('HGETALL', KEYS[2])
  for place = 1, #leases, 2 do
    local ends, duration = string.match(leases[place + 1], '^(%d+) (%d+) ')
    if find_left(ends, duration, now) == 0 then
      redis.call('HDEL', KEYS[2], leases[place])
    end
  end
end
local duration = tonumber(ARGV[4])
redis.call('HSET', KEYS[2], ARGV[2], format(now + duration) .. ' ' .. format(duration) .. ' ' .. ARGV[3])
return 1
