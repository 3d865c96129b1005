-- Write a value, remove it, and return the schema version.
begin()
redis.call('HSET', FACTS, 'check', '1')
redis.call('HDEL', FACTS, 'check')
return ARGV[1]
