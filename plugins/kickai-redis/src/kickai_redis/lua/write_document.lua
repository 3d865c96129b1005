-- KEYS: facts, documents, versions, history. ARGV: schema, name, JSON, expected version, entry or '', limit of entries.
-- Return whether the version was the expected one.
local version = redis.call('HGET', KEYS[3], ARGV[2])
if tonumber(version or '0') ~= tonumber(ARGV[4]) then
  return 0
end
redis.call('LLEN', KEYS[4])  -- fails before anything is written if another program has the key
begin()
local following = (tonumber(version or redis.call('HGET', FACTS, 'deleted version') or '0')) + 1
redis.call('HSET', KEYS[2], ARGV[2], ARGV[3])
redis.call('HSET', KEYS[3], ARGV[2], format(following))
if ARGV[5] ~= '' then
  redis.call('LPUSH', KEYS[4], format(following) .. ' ' .. ARGV[5])
  redis.call('LTRIM', KEYS[4], 0, tonumber(ARGV[6]) - 1)
end
return 1
