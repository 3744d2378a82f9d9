package endpoint

import (
	"fmt"
	"net/http"
	"time"

	"github.com/sluice-go/sluice/proxy"
)

// A deadliner is a ResponseWriter with deadlines. It is looked for here because
// http.ResponseController allocates an error each time there is none.
type deadliner interface {
	SetWriteDeadline(deadline time.Time) error
}

// deadlinerOf returns the deadliner that w is or wraps, or nil.
func deadlinerOf(w http.ResponseWriter) deadliner {
	for {
		switch t := w.(type) {
		case deadliner:
			return t
		case interface{ Unwrap() http.ResponseWriter }:
			w = t.Unwrap()
		default:
			return nil
		}
	}
}

// flushable reports whether http.ResponseController can flush w, without doing it.
func flushable(w http.ResponseWriter) bool {
	for {
		switch t := w.(type) {
		case interface{ FlushError() error }, http.Flusher:
			return true
		case interface{ Unwrap() http.ResponseWriter }:
			w = t.Unwrap()
		default:
			return false
		}
	}
}

// checkStreamWriter returns why w is not good enough for a Stream endpoint, or nil.
func checkStreamWriter(w http.ResponseWriter) error {
	if !flushable(w) {
		return unable("flush", http.ErrNotSupported)
	}
	if deadlinerOf(w) == nil {
		return unable("set deadlines", http.ErrNotSupported)
	}
	return nil
}

func unable(what string, err error) error {
	return &proxy.Error{Status: http.StatusInternalServerError, Op: "endpoint",
		Err: fmt.Errorf("the ResponseWriter cannot %s: %w", what, err)}
}
