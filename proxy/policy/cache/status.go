package cache

import (
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/sluice-go/sluice/proxy"
)

// Why a call was passed on, in the words of RFC 9211, section 2.2.
const (
	forBypass  = "fwd=bypass"
	forMethod  = "fwd=method"
	forMiss    = "fwd=uri-miss"
	forVary    = "fwd=vary-miss"
	forRequest = "fwd=request"
	forStale   = "fwd=stale"
)

// setStatus adds to an answer what the cache has done with it (RFC 9211). Of several caches, the one
// nearest to the upstream stands first.
func (c *Cache) setStatus(res *proxy.Response, status string) {
	if res.Header == nil {
		res.Header = http.Header{}
	}
	lines := res.Header["Cache-Status"]
	res.Header["Cache-Status"] = append(slices.Clip(lines), c.spec.Name+"; "+status)
}

// hitStatus is the status of an answer from the cache, and for how long it is still fresh.
func hitStatus(left time.Duration) string {
	return "hit; ttl=" + strconv.FormatInt(int64(left/time.Second), 10)
}
