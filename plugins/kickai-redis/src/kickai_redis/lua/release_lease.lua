-- KEYS: facts, leases. ARGV: schema, name, holder.
local held = redis.call('HGET', KEYS[2], ARGV[2])
if held and string.match(held, '^%d+ %d+ (.*)$') == ARGV[3] then
  redis.call('HDEL', KEYS[2], ARGV[2])
end
return redis.status_reply('OK')
