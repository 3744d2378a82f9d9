//go:build race

package proxy

import (
	"context"
	"net/http"
	"net/url"
	"reflect"

	"github.com/sluice-go/sluice/internal/watch"
)

// checkShared returns a function to call once the proxies that share the maps of r have returned. It
// panics if one of them has written to a map: then its plan says that it only reads, and it does not.
// Without the race detector it does nothing.
func checkShared(ctx context.Context, r *Request) (check func()) {
	if watch.Of(ctx) != nil { // nothing is shared
		return func() {}
	}
	header, upstream, query := r.Header.Clone(), r.Upstream.Clone(), http.Header(r.Query).Clone()
	own := *r
	return func() {
		if !reflect.DeepEqual(header, own.Header) || !reflect.DeepEqual(upstream, own.Upstream) ||
			!reflect.DeepEqual(url.Values(query), own.Query) {
			panic("proxy: a step without pipe.WritesRequest wrote to a request that others read")
		}
	}
}
