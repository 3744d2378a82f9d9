package cache

import (
	"context"
	"time"
)

// A Store keeps the entries of a [Cache]. [NewMemory] makes one in memory. A Store is safe for
// concurrent use.
//
// A Store may lose any entry at any time: the cache then asks upstreams again. It must not give an
// entry under another key than its own, nor an older entry after a newer one was set; the first would
// give one client the answer of another one, the second would undo a purge.
//
// An error, a panic or a call that does not return in time means that the call is answered without
// the cache. The failure is reported; see [proxy.Report]. A Store is called with the context of the
// call, and should return well before it ends. If it has a method Fault() error, the error of that is
// a fault of the cache.
type Store interface {
	// Get returns the entries with these keys, in their order, and nil for each that there is not.
	// It looks for them in that order too, or for all at once. Keys are printable ASCII, of at most
	// 64 bytes.
	Get(ctx context.Context, keys ...string) ([]*Entry, error)

	// Set keeps an entry under a key for about the time ttl, which is positive, in place of one that
	// is there. The entry is never changed, so that a Store may keep it as it is; one that keeps
	// bytes calls [Entry.MarshalBinary].
	Set(ctx context.Context, key string, e *Entry, ttl time.Duration) error
}
