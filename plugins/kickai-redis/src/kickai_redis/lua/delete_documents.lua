-- KEYS: facts, documents, versions, and the history of each document. ARGV: schema, the name of each document.
begin()
local deleted = tonumber(redis.call('HGET', FACTS, 'deleted version') or '0')
for place = 2, #ARGV do
  local version = redis.call('HGET', KEYS[3], ARGV[place])
  if version then
    deleted = math.max(deleted, tonumber(version))
    redis.call('HSET', FACTS, 'deleted version', format(deleted))
    redis.call('HDEL', KEYS[3], ARGV[place])
    redis.call('HDEL', KEYS[2], ARGV[place])
    redis.call('DEL', KEYS[place + 2])
  end
end
return redis.status_reply('OK')
