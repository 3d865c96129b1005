-- KEYS: facts, changes, the starts of each level. ARGV: schema, day, start, end.
-- Return how often the cells of the day were added up, and the starts of each level in [start, end).
local found = {redis.call('HGET', KEYS[2], ARGV[2]) or '0'}
for place = 3, #KEYS do
  found[#found + 1] = redis.call('ZRANGEBYSCORE', KEYS[place], ARGV[3], '(' .. ARGV[4])
end
return found
