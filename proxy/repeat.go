package proxy

import (
	"net/http"

	"github.com/sluice-go/sluice/pipe"
)

// Repeatable tells by the plan of a proxy whether calling it again has no further effect: for whatever request, or for none
// because of the step that forbids it, or neither, and then [Request.Idempotent] decides. A step that declares
// [pipe.Idempotent] or [pipe.NotIdempotent] holds for what is inside. It is what policy.Retry and [Race] go by.
func Repeatable(plan *pipe.Step) (whatever bool, never *pipe.Step) {
	switch {
	case plan.Effects.Has(pipe.NotIdempotent):
		return false, plan
	case plan.Effects.Has(pipe.Idempotent):
		return true, nil
	}
	whatever = len(plan.Steps) > 0
	for _, inner := range plan.Steps {
		w, never := Repeatable(inner)
		if never != nil {
			return false, never
		}
		whatever = whatever && w
	}
	return whatever, nil
}

// Idempotent reports whether the same request again has no further effect: its method says so (RFC 9110, section 9.2.2), or
// code gave it an Idempotency-Key in Upstream. One in Header does not count, for any client may send one that no upstream
// sees.
func (r *Request) Idempotent() bool {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace, http.MethodPut, http.MethodDelete:
		return true
	}
	return r.Upstream.Get("Idempotency-Key") != ""
}
