package redis

// Key returns the key in Redis of a key.
func (a *Answers) Key(key string) string { return a.keys(key)[0] }

// Key returns the key in Redis of an id.
func (r *Revoked) Key(id string) string { return r.keys(id)[0] }
