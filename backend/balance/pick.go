package balance

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"net/http"

	"github.com/sluice-go/sluice/internal/call"
	"github.com/sluice-go/sluice/internal/field"
	"github.com/sluice-go/sluice/proxy"
)

// A Picker is how a call gets its host. The zero value is [PowerOfTwo].
//
//	PowerOfTwo      calls of about the same length; hosts that may be slow
//	LeastRequests   calls of very different length
//	RoundRobin      in turn, by weight
//	Random          any, by weight
//	Hash            those of a key to the same host, as for its cache, unless that has too many
//	Sticky          those of a key to the same host, while it is up
type Picker struct {
	kind kind
	key  Key
}

type kind uint8

const (
	powerOfTwo kind = iota
	leastRequests
	roundRobin
	random
	hashed
	sticky
)

// PowerOfTwo draws two different hosts by weight and takes the one that is likely to answer sooner
// (Mitzenmacher, The Power of Two Choices, 2001). What is likely is a moving average that follows a
// higher latency at once and a lower one by and by (peak EWMA), or how long the oldest call at the
// host waits if that is longer, times the calls in flight there.
func PowerOfTwo() Picker { return Picker{kind: powerOfTwo} }

// LeastRequests takes the host with the fewest calls in flight for its weight. It looks at every host
// for each call.
func LeastRequests() Picker { return Picker{kind: leastRequests} }

// RoundRobin takes the hosts in turn. One of weight 3 gets three calls for each of one of weight 1,
// and not in a row. One that is in its slow start misses turns.
func RoundRobin() Picker { return Picker{kind: roundRobin} }

// Random draws a host by weight.
func Random() Picker { return Picker{kind: random} }

// Hash takes the same host for the same key, unless that has a quarter more calls in flight than is
// its share: then another, which is the same for the key again. If hosts come or leave, few keys get
// another host. Every process that knows the same hosts takes the same. A call whose key is "" gets
// a host as by [PowerOfTwo].
//
// It looks at every host for each call. It is rendezvous hashing (Thaler and Ravishankar, 1998) with
// bounded loads (Mirrokni, Thorup and Zadimoghaddam, 2016). The hash is no secret: who chooses keys can choose their host.
func Hash(key Key) Picker { return Picker{kind: hashed, key: key} }

// Sticky is [Hash] without regard to the load, for what a host keeps of its callers. If that host
// is not up, the key has another one until it is.
func Sticky(key Key) Picker { return Picker{kind: sticky, key: key} }

// A Key is what [Hash] and [Sticky] read of a request. The zero value is a fault.
type Key struct {
	header string
	read   func(*http.Request) string
}

// ByHeader is the value of a header of the request that the host gets. A header of the client is
// there only if backend.Spec names it.
func ByHeader(name string) Key { return Key{header: http.CanonicalHeaderKey(name)} }

// ByFunc is what f says of the request that the host gets. It must not change the request, nor read
// its body. It is code of yours: its panic is the error of the call, and it is not waited for longer
// than the context lasts.
func ByFunc(f func(*http.Request) string) Key { return Key{read: f} }

// String returns the name of the picker, as a plan shows it.
func (p Picker) String() string {
	by := "by func"
	if p.key.header != "" {
		by = "by " + p.key.header
	}
	switch p.kind {
	case leastRequests:
		return "least requests"
	case roundRobin:
		return "round robin"
	case random:
		return "random"
	case hashed:
		return "hash " + by
	case sticky:
		return "sticky " + by
	}
	return "power of two choices"
}

func (p Picker) fault() error {
	switch {
	case p.kind != hashed && p.kind != sticky, p.key.read != nil:
		return nil
	case p.key.header == "":
		return errors.New("the Key of the Pick names no header and has no function")
	case !field.IsToken(p.key.header):
		return fmt.Errorf("the Key of the Pick is %q, which is no name of a header", p.key.header)
	}
	return nil
}

// keyOf returns the hash of the key of a request, or 0 if it has none.
func (p Picker) keyOf(ctx context.Context, req *http.Request) (uint64, error) {
	key := ""
	switch {
	case p.key.header != "":
		if values := req.Header[p.key.header]; len(values) > 0 {
			key = values[0]
		}
	case p.key.read != nil:
		var err error
		key, err = call.Guard(ctx, nil, nil, func() (string, error) { return p.key.read(req), nil })
		if err != nil {
			return 0, err
		}
	}
	if key == "" {
		return 0, nil
	}
	return max(hashOf(key), 1), nil
}

// pick returns a host of the set, which has one. It avoids those that other tries have used.
func (s *set) pick(p *Pool, now int64, key uint64, tried *proxy.Try) *member {
	if len(s.live) == 1 {
		return s.live[0]
	}
	switch p.spec.Pick.kind {
	case leastRequests:
		return s.least(now, tried)
	case roundRobin:
		return s.next(p, now, tried)
	case random:
		return s.live[s.draw(now, tried, -1)]
	case hashed, sticky:
		if key != 0 {
			return s.hashed(now, key, tried, p.spec.Pick.kind == hashed)
		}
	}
	return s.better(now, tried)
}

// better draws two hosts and returns the better one.
func (s *set) better(now int64, tried *proxy.Try) *member {
	i := s.draw(now, tried, -1)
	j := s.draw(now, tried, i)
	if j < 0 || s.live[i].cost(now) <= s.live[j].cost(now) {
		return s.live[i]
	}
	return s.live[j]
}

// draws is how often a draw is repeated before another host is looked for in order.
const draws = 8

// draw draws a host by weight that no other try has used and that is not the one at not, which is -1
// for a first draw. If the other tries have used all, a first draw takes any, and a second one returns
// -1: that host would be no better.
func (s *set) draw(now int64, tried *proxy.Try, not int) int {
	for range draws {
		r := rand.Uint64()
		i := s.index(r, not)
		m := s.live[i]
		if i != not && !tried.Used(m.address) && (!s.ramps || m.takes(now, r)) {
			return i
		}
	}
	for n, first := len(s.live), rand.IntN(len(s.live)); n > 0; n-- {
		if i := (first + n) % len(s.live); i != not && !tried.Used(s.live[i].address) {
			return i
		}
	}
	if tried != nil && not < 0 {
		return s.draw(now, nil, not)
	}
	return -1
}

// index maps a random number to a host. If all have the same weight, it is not not.
func (s *set) index(r uint64, not int) int {
	if s.alias != nil {
		return s.alias.index(r)
	}
	n := uint64(len(s.live))
	if not < 0 {
		return int(r >> 32 * n >> 32)
	}
	i := int(r >> 32 * (n - 1) >> 32)
	if i >= not {
		i++
	}
	return i
}

// takes reports whether a host in its slow start takes a call, by the low bits of a random number.
func (m *member) takes(now int64, r uint64) bool { return float64(uint16(r)) < m.part(now)*(1<<16) }

// part returns which part of its share a host gets: less than 1 in its slow start.
func (m *member) part(now int64) float64 {
	ramp := m.ramp.Load()
	if ramp == 0 {
		return 1
	}
	return min(max(float64(now-ramp)/float64(m.pool.spec.SlowStart), leastRamp), 1)
}

// leastRamp is the share with which a slow start begins.
const leastRamp = 0.1

// least returns the host with the fewest calls in flight, any of them if there are several.
func (s *set) least(now int64, tried *proxy.Try) *member {
	var best *member
	least := math.Inf(1)
	for i, first := 0, rand.IntN(len(s.live)); i < len(s.live); i++ {
		m := s.live[(first+i)%len(s.live)]
		if tried.Used(m.address) {
			continue
		}
		if load := float64(m.load.Load()+1) / (math.Float64frombits(m.share.Load()) * m.part(now)); load < least {
			best, least = m, load
		}
	}
	if best == nil {
		return s.least(now, nil)
	}
	return best
}

// next returns the host whose turn it is. In each round the hosts of the highest weight have a turn,
// and the others in as many rounds as their weight is of that.
func (s *set) next(p *Pool, now int64, tried *proxy.Try) *member {
	n := uint64(len(s.live))
	for range 2 * n { // so there is one turn at least
		turn := p.turn.Add(1)
		i, weight := turn%n, s.weights[turn%n]
		round := (turn/n + i) % s.heaviest
		if (round+1)*weight/s.heaviest == round*weight/s.heaviest {
			continue
		}
		if m := s.live[i]; !tried.Used(m.address) && (!s.ramps || m.takes(now, rand.Uint64())) {
			return m
		}
	}
	return s.live[s.draw(now, tried, -1)]
}

// hashed returns the host of a key.
func (s *set) hashed(now int64, key uint64, tried *proxy.Try, bounded bool) *member {
	most := math.Inf(1)
	if bounded {
		total := int64(1)
		for _, m := range s.live {
			total += m.load.Load()
		}
		most = boundedBy * float64(total) / float64(len(s.live))
	}
	var best *member
	highest := math.Inf(-1)
	for _, m := range s.live {
		share := math.Float64frombits(m.share.Load())
		score := mix(key ^ m.hash)
		switch {
		case tried.Used(m.address), s.ramps && !m.takes(now, mix(score)), float64(m.load.Load()) >= math.Ceil(most*share):
			continue
		}
		h := (float64(score>>11) + 0.5) / (1 << 53)
		if s.alias != nil { // the host with the highest of these is drawn in proportion to the weights
			h = -share / math.Log(h)
		}
		if h > highest {
			best, highest = m, h
		}
	}
	if best == nil {
		return s.better(now, tried)
	}
	return best
}

// boundedBy is how many more calls in flight than the mean a host of [Hash] may have.
const boundedBy = 1.25

// hashOf is FNV-1a, with all bits mixed.
func hashOf(s string) uint64 {
	h := uint64(14695981039346656037)
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * 1099511628211
	}
	return mix(h)
}

// mix is the finalizer of MurmurHash3.
func mix(h uint64) uint64 {
	h = (h ^ h>>33) * 0xff51afd7ed558ccd
	h = (h ^ h>>33) * 0xc4ceb9fe1a85ec53
	return h ^ h>>33
}
