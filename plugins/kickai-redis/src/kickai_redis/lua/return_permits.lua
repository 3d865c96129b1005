-- KEYS: facts, windows. ARGV: schema, name, number of the window, amount.
local kept = redis.call('HGET', KEYS[2], ARGV[2])
if kept then
  local before, number, used = string.match(kept, '^(%d+ %d+) (%d+) (%d+)$')
  if number == ARGV[3] then
    local left = math.max(0, tonumber(used) - tonumber(ARGV[4]))
    redis.call('HSET', KEYS[2], ARGV[2], before .. ' ' .. number .. ' ' .. format(left))
  end
end
return redis.status_reply('OK')
