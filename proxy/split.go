package proxy

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/sluice-go/sluice/internal/mark"
	"github.com/sluice-go/sluice/pipe"
)

// A Variant is one of the proxies that a [Split] divides the calls among.
type Variant struct {
	// Name is the name of the variant in the plan, in errors, and in the header of
	// SplitSpec.Header. It also affects which keys the variant gets. If it is "", the variant takes
	// the name of the first named step in the plan of Proxy that is not a function. If there is
	// none, it takes its number, counted from 1.
	Name string

	// Weight is the variant's share of the calls, as a part of the sum of all weights. A variant of
	// weight 0 gets only the calls whose header names it.
	Weight int

	// Proxy answers the calls. A nil Proxy is a fault in the plan.
	Proxy Proxy
}

// A SplitSpec describes a split.
type SplitSpec struct {
	Name     string    // in the plan; also the name of the experiment, see Key
	Variants []Variant // at least one, no two with the same name

	// Weights replace the weights of the variants, which must then be 0, and can be changed while
	// the split runs. If Weights is nil, the weights are those of the variants and stay fixed.
	Weights *Weights

	// Key returns the key that decides which variant a request gets, such as an account. The same
	// key always gets the same variant. Key must not change the request. A request with the key ""
	// gets a variant by chance; if Key is nil, all requests do.
	//
	// The key is hashed with the names of the split and its variants, without a secret. So every
	// process decides alike, before and after a restart. Splits of the same name whose variants
	// have the same names also decide alike; splits of different names decide independently. A
	// client that chooses its key can choose its variant.
	Key func(req *Request) string

	// Header is the name of a request header in which the client can name a variant, regardless of
	// its weight and of the key. If it is "", there is no such header. It is read from
	// Request.Header, so the client controls it: a variant that is not for everybody needs its own
	// guard. A value that is not the name of a variant has no effect.
	Header string
}

// Split returns a proxy that divides the calls among variants by weight, as for a canary. Each call
// goes to one variant:
//
//	proxy.Split(proxy.SplitSpec{Name: "orders", Key: account, Variants: []proxy.Variant{
//		{Name: "stable", Weight: 95, Proxy: orders},
//		{Name: "canary", Weight: 5, Proxy: ordersV2},
//	}})
//
// The variant is the one that the request names in SplitSpec.Header, or else the one that its key
// selects, or else one by chance. When a weight changes, keys move to its variant or away from it,
// only as many as the new shares require, and no key moves between two other variants. The names of
// the variants determine this, not their order. So adding or removing a variant acts like a change
// of its weight.
//
// The variant gets the whole request, with its body and any request to change protocols. Its answer
// is returned untouched, a stream too. Its error is returned with the name of the variant.
//
// With a Key, the Key and the variant run on a goroutine of their own, on a copy of the request's
// maps. A panic or runtime.Goexit fails the call with a [*pipe.PanicError]. The deadline is
// enforced even if the Key blocks, as [Hold] describes, for up to [DefaultMaxAbandoned] calls at a
// time. Without a Key, the variant runs on the caller's goroutine.
//
// It is a fault in the plan if there are no variants, if one has no proxy, if two have the same
// name, or if the weights do not fit.
func Split(s SplitSpec) Proxy {
	s.Variants = slices.Clone(s.Variants)
	faults := faultsOf("Split", s.Name)
	if len(s.Variants) == 0 {
		faults.add("there are no variants")
	}
	seen := map[string]bool{}
	for i := range s.Variants {
		v := &s.Variants[i]
		if v.Name == "" {
			v.Name = nameIn(pipe.PlanOf(v.Proxy), strconv.Itoa(i+1))
		}
		which := numbered("variant", i, v.Name)
		if v.Proxy == nil {
			faults.add("%s has a nil Proxy", which)
		}
		if seen[v.Name] {
			faults.add("%s has the name of another variant", which)
		}
		seen[v.Name] = true
		if s.Weights != nil && v.Weight != 0 {
			faults.add("%s has a Weight although there are Weights", which)
		}
	}
	return newSplit(s, s.weights(faults), faults)
}

// weights returns the weights. If they do not fit the variants, it adds a fault.
func (s SplitSpec) weights(faults *faults) *Weights {
	w := s.Weights
	if w == nil {
		weights := make([]int, len(s.Variants))
		for i, v := range s.Variants {
			weights[i] = v.Weight
		}
		w = NewWeights(weights...)
	} else if have := len(w.Get()); w.Fault() == nil && have != len(s.Variants) {
		faults.add("Weights has %d weights, want %d", have, len(s.Variants))
	}
	if err := w.Fault(); err != nil && len(s.Variants) > 0 { // no variants is a fault of its own
		faults.add("%w", err)
	}
	return w
}

type split struct {
	weights *Weights
	names   []string
	salts   []uint64 // of the variants, for keys
	key     func(*Request) string
	header  string
}

func newSplit(s SplitSpec, weights *Weights, faults *faults) Proxy {
	step := pipe.Step{Err: faults.err(), Mark: mark.Borrows(), Kind: "split", Name: s.Name, Source: pipe.Here()}
	p := &split{weights: weights, key: s.Key, header: http.CanonicalHeaderKey(s.Header)}
	notes, when := []string{"by chance"}, ""
	if s.Key != nil {
		notes[0] = "by key"
		step.Effects |= pipe.Opaque
	}
	if s.Header != "" {
		notes = append(notes, p.header+" may name one")
		step.Takes = []string{p.header}
	}
	if s.Weights != nil {
		notes, when = append(notes, "weights may change"), " at wiring"
		step.Effects |= pipe.Stateful
		step.State = s.Weights
	}
	step.Detail = strings.Join(notes, ", ")
	c := &choice{op: "split", noun: "variant", pick: p.pick}
	now := weights.Get()
	for i, v := range s.Variants {
		detail := ""
		if len(now) == len(s.Variants) {
			detail = fmt.Sprintf("weight %d%s", now[i], when)
		}
		p.names = append(p.names, v.Name)
		p.salts = append(p.salts, saltOf(s.Name, v.Name))
		c.options = append(c.options, option{name: v.Name, detail: detail, proxy: v.Proxy})
	}
	return c.described(step)
}

func (s *split) pick(_ context.Context, req *Request) (int, error) {
	if s.header != "" {
		if i := slices.Index(s.names, req.Header.Get(s.header)); i >= 0 {
			return i, nil
		}
	}
	key, err := s.keyOf(req)
	if err != nil {
		return 0, err
	}
	now := s.weights.now.Load() // one state for the whole decision
	if key == "" {
		return now.draw(), nil
	}
	return now.sticky(s.salts, key), nil
}

// keyOf calls the key function, and recovers its panic to say where it came from.
func (s *split) keyOf(req *Request) (key string, err error) {
	if s.key == nil {
		return "", nil
	}
	defer func() {
		if v := recover(); v != nil {
			err = within("key", pipe.NewPanicError(v))
		}
	}()
	return s.key(req), nil
}
