-- KEYS: facts, history. ARGV: schema, limit. Return the entries, the newest first.
return redis.call('LRANGE', KEYS[2], 0, tonumber(ARGV[2]) - 1)
