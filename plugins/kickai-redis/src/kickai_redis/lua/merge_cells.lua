-- Replace the cells of some periods by their sums, unless they have changed since they were read.
-- KEYS: facts, changes, starts and cells of the target, then starts and cells of each source.
-- ARGV: schema, day, start and version of the target, the number of sources, the start and version of each source, then
-- the fields and values of the target. Return whether they had not changed.
if (redis.call('HGET', KEYS[4], 'version') or '') ~= ARGV[4] then
  return 0
end
local sources = tonumber(ARGV[5])
for source = 1, sources do
  local version = redis.call('HGET', KEYS[4 + 2 * source], 'version') or ''
  if version ~= ARGV[5 + 2 * source] then
    return 0
  end
end
begin()
local version = count_up('version', get_time())
for source = 1, sources do
  redis.call('ZREM', KEYS[3 + 2 * source], ARGV[4 + 2 * source])
  redis.call('DEL', KEYS[4 + 2 * source])
end
for place = 6 + 2 * sources, #ARGV, 2 do
  redis.call('HSET', KEYS[4], ARGV[place], ARGV[place + 1])
end
redis.call('HSET', KEYS[4], 'version', version)
redis.call('ZADD', KEYS[3], ARGV[3], ARGV[3])
redis.call('HINCRBY', KEYS[2], ARGV[2], 1)
return 1
