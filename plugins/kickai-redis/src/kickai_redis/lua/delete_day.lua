-- KEYS: facts, changes, then starts and cells of each period. ARGV: schema, day, the start of each period.
for place = 3, #ARGV do
  redis.call('ZREM', KEYS[2 * place - 3], ARGV[place])
  redis.call('DEL', KEYS[2 * place - 2])
end
redis.call('HDEL', KEYS[2], ARGV[2])
return redis.status_reply('OK')
