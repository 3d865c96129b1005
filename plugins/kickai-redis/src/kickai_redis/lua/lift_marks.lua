-- KEYS: facts, marks. ARGV: schema, how the fields of the key begin, generation.
local marks = redis.call('HGETALL', KEYS[2])
for place = 1, #marks, 2 do
  if string.sub(marks[place], 1, #ARGV[2]) == ARGV[2] then
    local generation = string.match(marks[place + 1], '^%d+ %d+ (%d+) ')
    require_form(generation)
    if tonumber(generation) <= tonumber(ARGV[3]) then
      redis.call('HDEL', KEYS[2], marks[place])
    end
  end
end
return redis.status_reply('OK')
