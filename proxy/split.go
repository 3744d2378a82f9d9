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

// A Variant is one of the proxies among which a [Split] divides the calls.
type Variant struct {
	// Name is the variant's in the plan, in errors, in the header of SplitSpec.Header, and for which keys it gets. ""
	// takes that of the first named step in the plan of Proxy that is not a function, and where there is none the
	// variant's number, counted from 1.
	Name string

	// Weight is the share of the calls, of the sum of all weights. 0 gets none but those that the header names.
	Weight int

	// Proxy answers. nil is a wiring mistake.
	Proxy Proxy
}

// A SplitSpec describes a split.
type SplitSpec struct {
	Name     string    // in the plan, and of the experiment: see Key
	Variants []Variant // at least one, no two with the same name

	// Weights are the weights in place of those of the variants, which are 0 then, to change them while the split runs.
	// nil is those of the variants, fixed.
	Weights *Weights

	// Key returns what decides for a request, such as an account: the same key gets the same variant. It looks at the
	// request and leaves it as it is. A key of "" is none: such a request gets a variant by chance, as all do where Key is
	// nil.
	//
	// The key, with the names of the split and its variants, is hashed without a secret: every process decides alike,
	// before and after a restart. Splits of one name with variants of the same names decide alike too, and those of
	// different names decide independently. A client that chooses its key can choose its variant.
	Key func(req *Request) string

	// Header is a header of the request in which the client can name a variant, whatever its weight and the key; "" is
	// none. It is read from Request.Header, so it is under the control of the client: a variant that is not for everybody
	// needs a guard of its own. A value that is no name of a variant has no effect.
	Header string
}

// Split returns a proxy that divides the calls among variants by weight, as for a canary, and calls one of them:
//
//	proxy.Split(proxy.SplitSpec{Name: "orders", Key: account, Variants: []proxy.Variant{
//		{Name: "stable", Weight: 95, Proxy: orders},
//		{Name: "canary", Weight: 5, Proxy: ordersV2},
//	}})
//
// The variant is that of SplitSpec.Header where the request names one, else that of its key, else one by chance. A weight
// that is changed moves keys to its variant or away from it, as few as the new shares ask for, and between no two others.
// The names of the variants count for that and their order does not, so one can be added or removed like a change of its
// weight.
//
// The variant gets the request whole, with its body and a wish to change protocols; its answer is handed on untouched, a
// stream too, and its error with the name of the variant.
//
// A split with a Key runs it and the variant on a goroutine of their own, on a copy of the request's maps: a panic or
// runtime.Goexit fails the call with a [*pipe.PanicError], and the deadline holds even against a Key that blocks, as
// [Hold] describes, for [DefaultMaxAbandoned] calls at a time. One without runs on the goroutine of the caller.
//
// It is a fault in the plan if there are no variants, or one has no proxy, or two have the same name, or the weights do not
// fit.
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
		if v.Proxy == nil {
			faults.add("variant %d (%s) has a nil Proxy", i+1, v.Name)
		}
		if seen[v.Name] {
			faults.add("variant %d (%s) has the name of another variant", i+1, v.Name)
		}
		seen[v.Name] = true
		if s.Weights != nil && v.Weight != 0 {
			faults.add("variant %d (%s) has a Weight beside those of Weights", i+1, v.Name)
		}
	}
	return newSplit(s, s.weights(faults), faults)
}

// weights returns the weights, which fit the variants unless that is a fault.
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
	if err := w.Fault(); err != nil && len(s.Variants) > 0 { // none is a fault of its own
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
	step := pipe.Step{Err: faults.err(), Mark: mark.Ours(), Kind: "split", Name: s.Name, Source: pipe.Here()}
	p := &split{weights: weights, key: s.Key, header: http.CanonicalHeaderKey(s.Header)}
	notes, when := []string{"by chance"}, ""
	if s.Key != nil {
		notes[0] = "by key"
		step.Effects |= pipe.Opaque
	}
	if s.Header != "" {
		notes = append(notes, p.header+" may name one")
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
	now := s.weights.now.Load() // one state for all that follows
	if key == "" {
		return now.draw(), nil
	}
	return now.sticky(s.salts, key), nil
}

// keyOf recovers the key function, to say whose panic it was.
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
