-- Add a batch unless it was added before.
-- KEYS: facts, writers, seen, series, series-days, counters, starts, and the cells of each period.
-- ARGV: schema, process, number, whether it is final, then for each period its start, its day and its number of cells,
-- then for each cell its series and its number of fields, then for each field its name and amount.
-- The name is the kind, and the name of a counter or the number of a bucket. A kind in upper case counts 2^62.
local now = get_time()
local process, number = ARGV[2], tonumber(ARGV[3])
local last = redis.call('HGET', KEYS[2], process)
if last and number <= tonumber(string.match(last, '^%d+')) then
  return 0
end
-- Fail before anything is written if another program has one of the keys.
redis.call('ZCARD', KEYS[3])
redis.call('HLEN', KEYS[4])
redis.call('ZCARD', KEYS[5])
redis.call('HLEN', KEYS[6])
redis.call('ZCARD', KEYS[7])
for place = 8, #KEYS do
  redis.call('HLEN', KEYS[place])
end
begin()

local function find_number(key, text)
  local found = redis.call('HGET', key, text)
  if not found then
    found = format(redis.call('HINCRBY', FACTS, 'last number', 1))
    redis.call('HSET', key, text, found)
  end
  return found
end

local counter_numbers = {}
local function shorten(field)
  local kind, name = string.sub(field, 1, 1), string.sub(field, 2)
  if string.lower(kind) ~= 'c' then
    return kind, name
  end
  if not counter_numbers[name] then
    counter_numbers[name] = find_number(KEYS[6], name)
  end
  return kind, counter_numbers[name]
end

-- Counts have no limit: what exceeds 64 bits is carried to a field of its own.
local function add(key, series, kind, name, amount)
  local field = series .. ' ' .. kind .. name
  local reply = redis.pcall('HINCRBY', key, field, amount)
  if type(reply) == 'table' and reply.err then
    redis.call('HINCRBY', key, field, '-4611686018427387904')
    redis.call('HINCRBY', key, series .. ' ' .. string.upper(kind) .. name, 1)
    redis.call('HINCRBY', key, field, amount)
  end
end

local place = 5
for period = 8, #KEYS do
  local start, day, cells = ARGV[place], ARGV[place + 1], tonumber(ARGV[place + 2])
  place = place + 3
  for _ = 1, cells do
    local series, fields = find_number(KEYS[4], ARGV[place]), tonumber(ARGV[place + 1])
    redis.call('ZADD', KEYS[5], 'GT', day, ARGV[place])
    place = place + 2
    redis.call('HSETNX', KEYS[period], series .. ' ', '')  -- a cell without fields exists too
    for _ = 1, fields do
      local kind, name = shorten(ARGV[place])
      add(KEYS[period], series, kind, name, ARGV[place + 1])
      place = place + 2
    end
  end
  if cells > 0 then
    redis.call('HSET', KEYS[period], 'version', count_up('version', now))
    redis.call('ZADD', KEYS[7], start, start)
  end
end
redis.call('HSET', KEYS[2], process, ARGV[3] .. ' ' .. ARGV[4])
redis.call('ZADD', KEYS[3], format(now), process)
return 1
