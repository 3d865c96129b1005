-- Comes before each script. KEYS[1] is the hash of facts; ARGV[1] is the schema version of the caller.
local FACTS = KEYS[1]
local schema = redis.call('HGET', FACTS, 'schema')
if schema and tonumber(schema) > tonumber(ARGV[1]) then
  return redis.error_reply('KICKAINEWER ' .. schema)
end

-- Call it before writing.
local function begin()
  if not schema then
    redis.call('HSET', FACTS, 'schema', ARGV[1])
  end
end

-- The server's time in microseconds since 1970, which a number holds exactly.
local function get_time()
  local time = redis.call('TIME')
  return tonumber(time[1]) * 1000000 + tonumber(time[2])
end

-- `..` and tostring() would round a number of this size.
local function format(number)
  return string.format('%.0f', number)
end

-- End the script when a value is not in its form, with a word that the caller looks for.
local function require_form(part)
  if not part then
    error('KICKAIDAMAGED')
  end
end

-- More time left than the whole duration means that the server's clock was set back: then the time is over too.
local function find_left(ends, duration, now)
  require_form(ends)
  local left = tonumber(ends) - now
  if left > 0 and left <= tonumber(duration) then
    return left
  end
  return 0
end

-- A number that was never used before, also if the server has lost its data since.
local function count_up(name, now)
  if redis.call('HSETNX', FACTS, name, format(now)) == 1 then
    return format(now)
  end
  return format(redis.call('HINCRBY', FACTS, name, 1))
end

-- The number that stands for a text, which is new if the text is.
local function find_number(key, text)
  local found = redis.call('HGET', key, text)
  if not found then
    found = format(redis.call('HINCRBY', FACTS, 'last number', 1))
    redis.call('HSET', key, text, found)
  end
  return found
end
