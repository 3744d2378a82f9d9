package proxy

import (
	"context"

	"github.com/sluice-go/sluice/internal/call"
	"github.com/sluice-go/sluice/internal/watch"
)

// A copying is how much of a request a copy of it copies.
type copying uint8

const (
	copyAll     copying = iota // the maps and their values, so that the two share nothing
	copyMaps                   // the maps; of Header without the values, which nobody writes to
	copyNothing                // the maps are shared, because nobody writes to them
)

// A copier knows how one call of a combinator copies its request for the proxies that it calls.
type copier struct {
	watched bool // a watcher sees the requests, and that is code of a user
	writers copying
}

func copierFor(ctx context.Context) copier {
	c := copier{watched: watch.Of(ctx) != nil}
	if call.Described(ctx) {
		c.writers = copyMaps
	}
	return c
}

// forProxy returns how to copy the request for a proxy. reads is [call.OnlyReads] of its plan. The
// plan decides, so no step has to ask before it writes. One that writes without [pipe.WritesRequest]
// panics in every test with the race detector; see checkShared.
func (c copier) forProxy(reads bool) copying {
	if reads && !c.watched {
		return copyNothing
	}
	return c.writers
}
