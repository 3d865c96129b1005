-- KEYS: facts, versions. Return the names of all documents.
return redis.call('HKEYS', KEYS[2])
