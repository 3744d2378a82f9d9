-- Reports whether KEYS[1] is set. It is a script because no replica, which may be behind, is asked one.
return redis.call('EXISTS', KEYS[1])
