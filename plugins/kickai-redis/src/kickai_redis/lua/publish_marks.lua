-- KEYS: facts, marks. ARGV: schema, then for each mark its field, duration, whether it was stated, and reason.
-- A mark is kept as 'end duration generation stated reason'. Of two of a field, the one that ends later stays.
begin()
local now = get_time()
local marks = redis.call('HGETALL', KEYS[2])
for place = 1, #marks, 2 do
  local ends, duration = string.match(marks[place + 1], '^(%d+) (%d+) ')
  if find_left(ends, duration, now) == 0 then
    redis.call('HDEL', KEYS[2], marks[place])
  end
end
for place = 2, #ARGV, 4 do
  local field, duration = ARGV[place], tonumber(ARGV[place + 1])
  local generation = count_up('generation', now)
  local ends, rest = format(now + duration), ARGV[place + 2] .. ' ' .. ARGV[place + 3]
  local older = redis.call('HGET', KEYS[2], field)
  if older then
    local older_ends, older_duration, older_rest = string.match(older, '^(%d+) (%d+) %d+ (.*)$')
    if tonumber(older_ends) >= tonumber(ends) then
      ends, duration, rest = older_ends, tonumber(older_duration), older_rest
    end
  end
  redis.call('HSET', KEYS[2], field, ends .. ' ' .. format(duration) .. ' ' .. generation .. ' ' .. rest)
end
return redis.status_reply('OK')
