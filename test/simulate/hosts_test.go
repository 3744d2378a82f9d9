package simulate_test

import (
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/sluice-go/sluice/proxy/proxytest"
)

// hostDisasters returns what happens to some of the hosts while others are well.
func hostDisasters(f form) []disaster {
	load := proxytest.Load{Rate: f.rate, For: f.whole}
	return []disaster{
		{
			name: "one slow host of ten", load: load,
			begin: func(w *world) { w.inject(0, time.Hour, w.hosts[:1], proxytest.Faults{Latency: time.Second}) },
			holds: func(w *world, r *proxytest.LoadResult) {
				assert.LessOrEqual(w, w.share(w.hosts[:1]), 0.002, "of the calls go to the slow host")
				assert.LessOrEqual(w, r.Quantile(0.99), 35*time.Millisecond)
			},
		},
		{
			name: "one host of ten that fails fast", load: load,
			begin: func(w *world) {
				w.inject(f.begins, f.ends, w.hosts[:1], proxytest.Faults{Errors: 1})
				w.at(f.begins+time.Second, w.mark)
				w.at(f.ends, w.mark)
			},
			holds: func(w *world, r *proxytest.LoadResult) {
				assert.LessOrEqual(w, float64(w.marked(0))/float64(w.marked()), 0.01, "of the calls go to the host, from 1 s after it began to fail")
				assert.GreaterOrEqual(w, r.Success(), 0.99)
			},
		},
		{
			name: "brown-out of one zone of two", load: load,
			begin: func(w *world) {
				w.inject(f.begins, f.ends, w.zone(), proxytest.Faults{Latency: 250 * time.Millisecond, Errors: 0.3, Workers: 4})
			},
			holds: healthyZone(f),
		},
		{
			name: "dead zone, one of two", load: load,
			begin: func(w *world) { w.inject(f.begins, f.ends, w.zone(), proxytest.Faults{Dead: true}) },
			holds: healthyZone(f),
		},
		{
			name: "flapping zone, one of two", load: load,
			begin: func(w *world) {
				for at := f.begins; at < f.ends; at += 4 * time.Second {
					w.inject(at, at+2*time.Second, w.zone(), proxytest.Faults{Crash: true})
				}
			},
			holds: healthyZone(f),
		},
		{
			name: "cold start of one zone of two", load: load,
			begin: func(w *world) {
				w.inject(f.begins, f.begins+5*time.Second, w.zone(), proxytest.Faults{Crash: true})
				w.inject(f.begins+5*time.Second, f.ends, w.zone(), proxytest.Faults{Latency: 200 * time.Millisecond, Workers: 2})
			},
			holds: healthyZone(f),
		},
		{
			name: "all hosts replaced", load: load,
			begin: func(w *world) {
				for i := range w.hosts {
					w.at(f.begins+time.Duration(i)*(f.ends-f.begins)/time.Duration(len(w.hosts)), func() { w.replace(i) })
				}
			},
			holds: func(w *world, r *proxytest.LoadResult) {
				assert.EqualValues(w, 1, r.Success(), "no call is lost")
			},
		},
	}
}

// healthyZone tests that calls hardly notice what happens to the hosts of one zone, neither meanwhile
// nor afterwards.
func healthyZone(f form) func(w *world, r *proxytest.LoadResult) {
	return func(w *world, r *proxytest.LoadResult) {
		during := r.Between(f.begins, f.ends)
		assert.GreaterOrEqual(w, during.Success(), 0.99, "meanwhile: %v", during)
		assert.GreaterOrEqual(w, r.Success(), 0.99)
		recovers(f.ends)(w, r)
	}
}
