-- KEYS: facts, series, counters. Return both.
return {redis.call('HGETALL', KEYS[2]), redis.call('HGETALL', KEYS[3])}
