package call

import "errors"

// ErrNotCached is why a cache refuses a call that only wants what is kept.
var ErrNotCached = errors.New("there is no answer in the cache")
