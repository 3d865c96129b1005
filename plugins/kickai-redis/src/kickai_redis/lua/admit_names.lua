-- KEYS: facts, and the names of each day. ARGV: schema, limit, seconds to keep them, then for each name the place of its
-- day in KEYS, the family, and the name with its family. Return for each whether it is one of the first of its family.
local admitted = {}
for place = 4, #ARGV, 3 do
  local key, family, name = KEYS[tonumber(ARGV[place])], ARGV[place + 1], ARGV[place + 2]
  local is_admitted = redis.call('HEXISTS', key, name)
  if is_admitted == 0 and tonumber(redis.call('HGET', key, family) or '0') < tonumber(ARGV[2]) then
    begin()
    redis.call('HSET', key, name, '1')
    redis.call('HINCRBY', key, family, 1)
    redis.call('EXPIRE', key, ARGV[3])
    is_admitted = 1
  end
  admitted[#admitted + 1] = is_admitted
end
return admitted
