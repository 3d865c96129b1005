-- KEYS: facts, the cells of some periods. Return the fields and values of each.
local found = {}
for place = 2, #KEYS do
  found[#found + 1] = redis.call('HGETALL', KEYS[place])
end
return found
