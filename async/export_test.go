package async

import (
	"net/http"
	"time"
)

// Clean lets the tests see the header filter by itself.
func Clean(h http.Header) http.Header { return clean(h) }

// Escaped lets the tests see how a topic becomes a path.
func Escaped(path string) string { return escaped(path) }

// Delay lets the tests see the waits themselves.
func (b Backoff) Delay(n int) time.Duration { return b.delay(n) }
