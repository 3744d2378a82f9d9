package test_test

import (
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/endpoint"
	"github.com/sluice-go/sluice/proxy"
)

// The upstream at fault is a stage between two that answer at once, or the last stage, whose
// response is the answer. A client sees the same as with a merge in the first case, and as with a
// passthrough in the second.
//
// proves M1, M2, M3, M4, M5, M6, M7, M8, M9, M10, M11, M12, M13, M14, M15, M16, M18, M19, M21, M37
func TestWhatAClientSeesOfASequence(t *testing.T) {
	t.Parallel()
	between := func(optional bool) func(*world, proxy.Proxy) proxy.Proxy {
		return func(w *world, p proxy.Proxy) proxy.Proxy {
			a, c := w.good()
			return proxy.Sequence(proxy.Stage{Proxy: a.Proxy}, proxy.Stage{Name: "faulty", Proxy: p, Optional: optional}, proxy.Stage{Proxy: c.Proxy})
		}
	}
	shapes := []gatewayShape{
		{name: "required", want: func(f fault) string { return f.required }, around: between(false)},
		{name: "optional", want: func(f fault) string { return f.optional }, around: between(true)},
		{name: "last", want: func(f fault) string { return f.single }, around: last},
		{name: "last, a stream", want: func(f fault) string {
			return strings.TrimPrefix(strings.TrimPrefix(f.stream, "103 "), "102 ") // only an endpoint that also streams requests forwards them
		}, stream: true, around: last},
	}
	for _, f := range faults() {
		for _, s := range shapes {
			t.Run(f.id+" "+f.name+", "+s.name, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					w := inMemory(t)
					c := w.serve(endpoint.Spec{Proxy: s.around(w, f.faulty(w, s.stream))})
					assert.Equal(t, s.want(f), look(t, c))
					require.NoError(t, w.stop(), "the gateway stops, nothing was abandoned")
					w.assertBodiesClosedOnce()
				})
			})
		}
	}
}

func last(w *world, p proxy.Proxy) proxy.Proxy {
	a, _ := w.good()
	return proxy.Sequence(proxy.Stage{Proxy: a.Proxy, Internal: true}, proxy.Stage{Name: "faulty", Proxy: p})
}
