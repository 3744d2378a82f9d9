package balance

import (
	"fmt"
	"net/http"
	"testing"
	"time"
)

// hundred returns a pool of 100 hosts that have answered, each with a call in flight.
func hundred(b testing.TB, pick Picker) (*Pool, *http.Request) {
	var hosts []string
	for i := range 100 {
		hosts = append(hosts, fmt.Sprintf("10.0.0.%d:80", i))
	}
	p, err := New(Spec{Resolver: Static(hosts...), Pick: pick})
	if err != nil {
		b.Fatal(err)
	}
	for i, m := range p.members {
		m.observe(p.now(), int64(time.Duration(20+i)*time.Millisecond))
		m.begin(&flight{member: m, start: p.now()})
	}
	req, err := http.NewRequestWithContext(b.Context(), "GET", "http://items.internal/", nil)
	if err != nil {
		b.Fatal(err)
	}
	req.Header.Set("X-User", "ada")
	return p, req
}

var pickers = []Picker{PowerOfTwo(), Random(), RoundRobin(), LeastRequests(), Hash(ByHeader("X-User"))}

// BenchmarkPick is the choice among 100 hosts.
func BenchmarkPick(b *testing.B) {
	for _, pick := range pickers {
		b.Run(pick.String(), func(b *testing.B) {
			p, req := hundred(b, pick)
			b.ReportAllocs()
			b.SetParallelism(8)
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if _, _, err := p.pick(req.Context(), req); err != nil {
						b.Error(err)
					}
				}
			})
		})
	}
}

// BenchmarkFlight is all that the pool does for a call, except what the transport does.
func BenchmarkFlight(b *testing.B) {
	p, req := hundred(b, PowerOfTwo())
	b.ReportAllocs()
	b.SetParallelism(8)
	b.RunParallel(func(pb *testing.PB) {
		resp := &http.Response{StatusCode: http.StatusOK, Body: http.NoBody}
		for pb.Next() {
			m, now, _ := p.pick(req.Context(), req)
			f := &flight{member: m, ctx: req.Context(), start: now}
			m.begin(f)
			f.answered(resp, nil)
		}
	})
}

func TestAPickDoesNotAllocate(t *testing.T) {
	for _, pick := range pickers {
		p, req := hundred(t, pick)
		if n := testing.AllocsPerRun(100, func() { _, _, _ = p.pick(req.Context(), req) }); n > 0 {
			t.Errorf("%s allocates %v times", pick, n)
		}
	}
}
