-- Add a batch unless it was added before.
-- KEYS: facts, writers, seen, series, series-days, counters, starts, and the cells of each period.
-- ARGV: schema, process, number, whether it is final, then for each period its start, its day and its number of cells,
-- then for each cell its series and its number of fields, then for each field its name and amount.
-- The name is the kind, and the name of a counter or the number of a bucket. A kind in upper case counts 2^62.
-- A cell with -1 fields is packed; what is packed follows.
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

local counter_numbers = {}
local function shorten(field)
  if string.lower(string.sub(field, 1, 1)) ~= 'c' then
    return field
  end
  local name = string.sub(field, 2)
  if not counter_numbers[name] then
    counter_numbers[name] = find_number(KEYS[6], name)
  end
  return string.sub(field, 1, 1) .. counter_numbers[name]
end

-- Counts have no limit: what exceeds 64 bits is carried to a field of its own.
local function add_large(key, field, amount)
  local reply = redis.pcall('HINCRBY', key, field, amount)
  if type(reply) == 'table' and reply.err then
    redis.call('HINCRBY', key, field, '-4611686018427387904')
    redis.call('HINCRBY', key, string.upper(field), 1)
    redis.call('HINCRBY', key, field, amount)
  end
end

-- Numbers of so many digits add up exactly in Lua, so that a few calls add to all fields of a cell.
local EXACT, AT_ONCE = 15, 500

local function add(key, fields, amounts)
  for first = 1, #fields, AT_ONCE do
    local last = math.min(first + AT_ONCE - 1, #fields)
    local olds, changes = redis.call('HMGET', key, unpack(fields, first, last)), {}
    for place = first, last do
      local old, field, amount = olds[place - first + 1], fields[place], amounts[place]
      if old and (#old > EXACT or #amount > EXACT) then
        add_large(key, field, amount)
      else
        changes[#changes + 1] = field
        changes[#changes + 1] = old and format(tonumber(old) + tonumber(amount)) or amount
      end
    end
    if #changes > 0 then
      redis.call('HSET', key, unpack(changes))
    end
  end
end

local series_numbers, used = {}, {}
local function use_series(text, day)
  if not series_numbers[text] then
    series_numbers[text] = find_number(KEYS[4], text)
  end
  if used[text] ~= day then
    redis.call('ZADD', KEYS[5], 'GT', day, text)
    used[text] = day
  end
  return series_numbers[text]
end

local place = 5
for period = 8, #KEYS do
  local start, day, cells = ARGV[place], ARGV[place + 1], tonumber(ARGV[place + 2])
  place = place + 3
  for _ = 1, cells do
    local series, count = use_series(ARGV[place], day), tonumber(ARGV[place + 1])
    place = place + 2
    if count == -1 then
      redis.call('HSET', KEYS[period], series .. ' p' .. process .. ' ' .. ARGV[3], ARGV[place])
      place = place + 1
    else
      local fields, amounts = {series .. ' '}, {'0'}  -- a cell without counts exists too
      for number = 2, count + 1 do
        fields[number], amounts[number] = series .. ' ' .. shorten(ARGV[place]), ARGV[place + 1]
        place = place + 2
      end
      add(KEYS[period], fields, amounts)
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
