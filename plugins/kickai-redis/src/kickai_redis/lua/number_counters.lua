-- KEYS: facts, counters. ARGV: schema, the names of counters. Return their numbers.
begin()
local numbers = {}
for place = 2, #ARGV do
  numbers[#numbers + 1] = find_number(KEYS[2], ARGV[place])
end
return numbers
