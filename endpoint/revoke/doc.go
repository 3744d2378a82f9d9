// Package revoke keeps revoked IDs in a Bloom filter: millions of them in a few megabytes, with a look-up
// in the memory of the process. The price is a false positive now and then: a token is refused although
// nobody has revoked it.
//
//	revoked, err := revoke.New(revoke.Spec{Lifetime: time.Hour}) // of tokens
//	tokens, err := jwt.New(jwt.Spec{Revoked: revoked.Revoked, …})
//	…
//	err = revoked.Revoke("8e03978e")
//
// auth.Revoked is an exact set, for fewer IDs. With package endpoint/redis, processes share one set.
//
// A [Filter] belongs to one process, and is lost when the process ends. To fill a new one, pass
// [Filter.MarshalBinary] of another process's filter to [Filter.Merge]. Processes may also exchange filters
// in this way from time to time, in any order and as often as they like.
package revoke
