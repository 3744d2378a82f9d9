package policy

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"maps"
	"net/http"
	"slices"

	"github.com/sluice-go/sluice/internal/call"
	"github.com/sluice-go/sluice/proxy"
)

// A flightKey is the SHA-256 of what tells calls apart: nobody can make two requests whose keys are
// the same, and a long request takes no more memory than a short one.
type flightKey [sha256.Size]byte

// keyOf returns the key of a call.
func (c *coalesce) keyOf(ctx context.Context, req *proxy.Request) (flightKey, error) {
	p := make(parts, 0, 1<<10)
	p.text(req.Method, req.Scheme, req.Host, req.Path, req.Pattern, req.RawQuery)
	p.values(req.Query)
	p.list(req.UpstreamQuery)
	names := req.Params.Names()
	p.number(len(names))
	for _, name := range names {
		p.text(name, req.Params.Get(name))
	}
	p.list(req.Params.Rest())
	p.values(req.Upstream)
	p.flag(call.Described(ctx)) // then leaves answer in another way
	if c.spec.Key != nil {
		key, err := keyFor(ctx, "coalesce", c.spec.Key, req)
		if err != nil {
			return flightKey{}, err
		}
		p.text(key)
		return sha256.Sum256(p), nil
	}
	p.header(req.Header, c.taken)
	if !c.taken.Hidden {
		return sha256.Sum256(p), nil
	}
	p.text(req.Remote.Addr().String())
	if req.TLS != nil && len(req.TLS.PeerCertificates) > 0 {
		p.text(string(req.TLS.PeerCertificates[0].Raw))
	}
	return sha256.Sum256(p), nil
}

// parts is an unambiguous text of several parts: each has its length before it.
type parts []byte

func (p *parts) number(n int) { *p = binary.AppendUvarint(*p, uint64(n)) }

func (p *parts) flag(b bool) {
	n := 0
	if b {
		n = 1
	}
	p.number(n)
}

func (p *parts) text(texts ...string) {
	for _, text := range texts {
		p.number(len(text))
		*p = append(*p, text...)
	}
}

func (p *parts) list(texts []string) {
	p.number(len(texts))
	p.text(texts...)
}

// header adds those fields of a client's header that reach something inside.
func (p *parts) header(h http.Header, taken call.Taken) {
	names := taken.Names
	if taken.All {
		names = slices.DeleteFunc(slices.Sorted(maps.Keys(h)), func(name string) bool { return !taken.Has(name) })
	}
	p.number(len(names))
	for _, name := range names {
		p.text(name)
		p.list(h[name])
	}
}

// values adds the lists of a map, in the order of their names.
func (p *parts) values(m map[string][]string) {
	p.number(len(m))
	for _, name := range slices.Sorted(maps.Keys(m)) {
		p.text(name)
		p.list(m[name])
	}
}
