// Package revoke keeps revoked ids in a Bloom filter: millions of them in a few megabytes, and a look-up
// in the memory of the process. In exchange it refuses a token now and then that nobody has revoked.
//
//	revoked, err := revoke.New(revoke.Spec{Lifetime: time.Hour}) // of tokens
//	tokens, err := jwt.New(jwt.Spec{Revoked: revoked.Revoked, …})
//	…
//	err = revoked.Revoke("8e03978e")
//
// auth.Revoked is an exact set, for fewer ids. With package endpoint/redis, processes share one.
//
// A [Filter] belongs to one process, and is gone with it. Whoever starts the process gives it what others
// know, as [Filter.MarshalBinary] of them says it, to [Filter.Merge]; so may processes do from time to
// time, in any order, as often as they like.
package revoke
