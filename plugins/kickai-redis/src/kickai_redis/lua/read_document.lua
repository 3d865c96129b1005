-- KEYS: facts, documents, versions. ARGV: schema, name. Return the version and the JSON, or nothing.
local version = redis.call('HGET', KEYS[3], ARGV[2])
if not version then
  return {}
end
return {version, redis.call('HGET', KEYS[2], ARGV[2])}
