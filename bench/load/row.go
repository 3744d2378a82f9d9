package main

import (
	"fmt"
	"net/http"
	"strings"
)

// A row is one line of the table: what the gateway does, who does the same, and the bar.
type row struct {
	name    string
	gateway build
	peer    build
	nginx   bool   // nginx does it too; printed, without a bar
	target  string // of the request whose answers are compared; most methods send no other
	same    func(a, b answer) error
	method  method
	bar     bar
}

// A build makes the handler of one side over an upstream at a base URL. The transport is for the
// gateway alone, and nil for the default of package backend.
type build func(upstream string, transport http.RoundTripper) (http.Handler, error)

// table lists what the bars are about, and what gives them their place.
var table = []row{
	{"passthrough 1 KB", passthrough(), reverseProxy, true, "/1k/a/1", sameBytes, cost, bar{ratioAtMost: 0.82}},
	{"passthrough 20 KB", passthrough(), reverseProxy, true, "/20k/a/1", sameBytes, cost, bar{ratioAtMost: 0.87}},
	{"passthrough 1 KB, Limit and Timeout", passthrough(limited, timely), reverseProxy, false, "/1k/a/1", sameBytes, cost, bar{ratioAtMost: 0.90}},
	{"passthrough 20 KB, Limit and Timeout", passthrough(limited, timely), reverseProxy, false, "/20k/a/1", sameBytes, cost, bar{ratioAtMost: 0.90}},
	{"passthrough 1 KB, opaque decorator", passthrough(opaque), reverseProxy, false, "/1k/a/1", sameBytes, cost, bar{}},
	{"passthrough 20 KB, opaque decorator", passthrough(opaque), reverseProxy, false, "/20k/a/1", sameBytes, cost, bar{}},
	{"merge 3 × 20 KB", merge("20k", flat), mergeByHand("20k"), false, "/page/1", sameJSON, cost, bar{ratioAtMost: 0.165}},
	{"merge 3 × 1 KB", merge("1k", flat), mergeByHand("1k"), false, "/page/1", sameJSON, cost, bar{ratioAtMost: 0.45}},
	{"grouped 3 × 20 KB", merge("20k", grouped), groupByHand("20k"), false, "/page/1", sameJSON, cost, bar{ratioAtMost: 0.32}},
	{"merge 3 × 20 KB, opaque decorator", merge("20k", flat, opaque), mergeByHand("20k"), false, "/page/1", sameJSON, cost, bar{ratioAtMost: 0.24}},
	{"merge 3 × 20 KB, decorator that borrows", merge("20k", flat, borrows), mergeByHand("20k"), false, "/page/1", sameJSON, cost, bar{ratioAtMost: 0.165}},
	{"merge 3 × 20 KB, p99 at half of its saturation", merge("20k", flat), mergeByHand("20k"), false, "/page/1", sameJSON, tail(true), bar{ratioAtMost: 1}},
	{"merge 3 × 20 KB, p99 at half of the peer's saturation", merge("20k", flat), mergeByHand("20k"), false, "/page/1", sameJSON, tail(false), bar{ratioAtMost: 1}},
	{"one connection, latency of 1 KB", passthrough(), reverseProxy, true, "/1k/a/1", sameBytes, latency, bar{ratioAtMost: 1}},
	{"stream down", passthrough(), reverseProxy, true, "/down?n=1000", sameBytes, stream(false), bar{ratioAtLeast: 1, besideAtMost: 32}},
	{"stream up", passthrough(), reverseProxy, true, "/up", sameBytes, stream(true), bar{ratioAtLeast: 1, besideAtMost: 32}},
	{"idle connections of clients", passthrough(), reverseProxy, true, "/1k/a/1", sameBytes, idleClients, bar{atMost: 20}},
	{"idle connections to upstreams", pools, reverseProxy, false, "/pool0/hold?n=1", sameBytes, idleUpstreams, bar{atMost: 12}},
}

// A bar is what a row should reach. Zero fields ask for nothing.
type bar struct {
	ratioAtMost  float64 // the gateway's figure over the peer's
	ratioAtLeast float64
	atMost       float64 // the gateway's figure
	besideAtMost float64 // what was measured beside the gateway's figure
}

func (b bar) String() string {
	var parts []string
	for _, p := range []struct {
		of     float64
		format string
	}{{b.ratioAtMost, "≤ %.3g×"}, {b.ratioAtLeast, "≥ %.3g×"}, {b.atMost, "≤ %.3g KiB"}, {b.besideAtMost, "memory ≤ %.3g MiB"}} {
		if p.of > 0 {
			parts = append(parts, fmt.Sprintf(p.format, p.of))
		}
	}
	if parts == nil {
		return "–"
	}
	return strings.Join(parts, ", ")
}

// reached says in a word whether the result is within its bar.
func (r result) reached() string {
	b := r.row.bar
	switch {
	case b == (bar{}):
		return "–"
	case b.ratioAtMost > 0 && !(r.ratio.median <= b.ratioAtMost),
		b.ratioAtLeast > 0 && !(r.ratio.median >= b.ratioAtLeast),
		b.atMost > 0 && !(r.figure.value <= b.atMost),
		b.besideAtMost > 0 && !(r.figure.beside <= b.besideAtMost):
		return "no"
	}
	return "yes"
}
