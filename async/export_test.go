package async

import (
	"context"
	"net/http"
)

// Clean lets the tests call the header filter.
func Clean(h http.Header) http.Header { return clean(h) }

// Escaped lets the tests see how a topic becomes a path.
func Escaped(path string) string { return escaped(path) }

// KnowsReceipt reports whether a run knows a receipt that came just before the end of the intake.
func KnowsReceipt() bool {
	intake, stop := context.WithCancel(context.Background())
	r := &run{intake: intake, received: make(chan receipt, 1)}
	r.received <- r.receipt(nil)
	stop()
	_, known := r.next()
	return known
}
