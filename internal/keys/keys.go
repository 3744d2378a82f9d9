// Package keys makes the keys by which calls are told apart, and keeps which of them are left alone
// for a while. Coalesce, the cache and idempotency keys share it.
package keys

import (
	"encoding/binary"
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/sluice-go/sluice/internal/call"
	"github.com/sluice-go/sluice/proxy"
)

// Parts is an unambiguous text of several parts: each has its length before it, so that ("ab", "c")
// and ("a", "bc") differ.
type Parts []byte

// Number adds a number.
func (p *Parts) Number(n int) { *p = binary.AppendUvarint(*p, uint64(n)) }

// Flag adds a bool.
func (p *Parts) Flag(b bool) {
	n := 0
	if b {
		n = 1
	}
	p.Number(n)
}

// Text adds texts.
func (p *Parts) Text(texts ...string) {
	for _, text := range texts {
		p.Number(len(text))
		*p = append(*p, text...)
	}
}

// List adds a list of texts, and how many they are.
func (p *Parts) List(texts []string) {
	p.Number(len(texts))
	p.Text(texts...)
}

// Values adds the lists of a map, in the order of their names.
func (p *Parts) Values(m map[string][]string) {
	p.Number(len(m))
	switch len(m) {
	case 0:
	case 1:
		for name, values := range m {
			p.Text(name)
			p.List(values)
		}
	default:
		for _, name := range slices.Sorted(maps.Keys(m)) {
			p.Text(name)
			p.List(m[name])
		}
	}
}

// Target adds what a request asks for, and all that code sends with it: everything that may change
// the answer but the method and what comes from the client's header and connection.
func (p *Parts) Target(req *proxy.Request) {
	p.Text(req.Scheme, req.Host, req.Path, req.Pattern, req.RawQuery)
	p.Values(req.Query)
	p.List(req.UpstreamQuery)
	names := req.Params.Names()
	p.Number(len(names))
	for _, name := range names {
		p.Text(name, req.Params.Get(name))
	}
	p.List(req.Params.Rest())
	p.Values(req.Upstream)
}

// Caller adds who makes a request, and all that the credential says: of two tokens of one user, one may
// lack what something inside asks for. Nobody differs from every caller.
func (p *Parts) Caller(c *proxy.Caller) {
	if c == nil {
		p.Number(0)
		return
	}
	p.Number(1)
	p.Text(c.Scheme, c.Issuer, c.ID)
	p.List(c.Roles)
	p.List(c.Scopes)
	p.Number(c.Claims.Size())
	*p = c.Claims.AppendJSON(*p)
}

// Client adds what may reach something inside of the client: the fields of its header that are taken,
// and, where code that no plan shows may read it, who makes the request, its address and its
// certificate.
func (p *Parts) Client(req *proxy.Request, h http.Header, taken *call.Taken) {
	names := taken.Names
	if taken.All {
		names = slices.DeleteFunc(slices.Sorted(maps.Keys(h)), func(name string) bool { return !taken.Has(name) })
	}
	p.Number(len(names))
	for _, name := range names {
		p.Text(name)
		p.List(h[name])
	}
	if !taken.Hidden {
		return
	}
	p.Caller(req.Caller)
	p.Text(req.Remote.Addr().String())
	if req.TLS != nil && len(req.TLS.PeerCertificates) > 0 {
		p.Text(string(req.TLS.PeerCertificates[0].Raw))
	}
}

// Alone is a set of keys that are left alone for a while. As the while is the same for all, they are
// in the order in which they end. [Alone.Init] makes it; it is not safe for concurrent use.
type Alone[K comparable] struct {
	limit int // negative is none
	lasts time.Duration
	until map[K]time.Time
	queue []K // oldest first
}

// Init makes an empty set of at most limit keys. A negative limit is none.
func (a *Alone[K]) Init(limit int, lasts time.Duration) {
	a.limit, a.lasts, a.until = limit, lasts, map[K]time.Time{}
}

// Has reports whether a key is left alone.
func (a *Alone[K]) Has(key K) bool {
	if len(a.queue) == 0 {
		return false // the clock need not be read
	}
	a.expire(time.Now())
	_, has := a.until[key]
	return has
}

// Add leaves a key alone from now on. Of too many the oldest goes.
func (a *Alone[K]) Add(key K) {
	now := time.Now()
	a.expire(now)
	if _, has := a.until[key]; has {
		return // each key is in the queue once
	}
	if a.limit > 0 && len(a.queue) >= a.limit {
		a.drop()
	}
	a.until[key] = now.Add(a.lasts)
	a.queue = append(a.queue, key)
}

func (a *Alone[K]) expire(now time.Time) {
	for len(a.queue) > 0 && !now.Before(a.until[a.queue[0]]) {
		a.drop()
	}
}

func (a *Alone[K]) drop() {
	delete(a.until, a.queue[0])
	a.queue = a.queue[1:]
}
