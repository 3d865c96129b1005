-- Forget processes that no longer write, and series that no cell has any more.
-- KEYS: facts, writers, seen, series, series-days. ARGV: schema, age of a process, first day that is kept, limit.
-- Return whether there are more.
local now, limit = get_time(), tonumber(ARGV[4])
local old = format(now - tonumber(ARGV[2]))
local processes = redis.call('ZRANGEBYSCORE', KEYS[3], '-inf', '(' .. old, 'LIMIT', 0, limit)
for _, process in ipairs(processes) do
  redis.call('HDEL', KEYS[2], process)
  redis.call('ZREM', KEYS[3], process)
end
local series = redis.call('ZRANGEBYSCORE', KEYS[5], '-inf', '(' .. ARGV[3], 'LIMIT', 0, limit)
for _, text in ipairs(series) do
  redis.call('HDEL', KEYS[4], text)
  redis.call('ZREM', KEYS[5], text)
end
return (#processes == limit or #series == limit) and 1 or 0
