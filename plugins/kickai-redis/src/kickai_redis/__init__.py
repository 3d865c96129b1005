"""A store in Redis or Valkey for kickai-providers-core: `kickai_redis.store.RedisStore`.

The client library is imported when a store is opened, not with this package.
"""
