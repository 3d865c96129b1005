-- KEYS: facts, the starts of each level. ARGV: schema, time. Return the first start from that time, or nothing.
local first = nil
for place = 2, #KEYS do
  local found = redis.call('ZRANGEBYSCORE', KEYS[place], ARGV[2], '+inf', 'LIMIT', 0, 1)
  if found[1] and (not first or tonumber(found[1]) < tonumber(first)) then
    first = found[1]
  end
end
return {first}
