package proxy

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"

	"github.com/sluice-go/sluice/internal/call"
	"github.com/sluice-go/sluice/internal/mark"
	"github.com/sluice-go/sluice/pipe"
)

// ErrNoCase is why a [Switch] without a default refuses a request. It has status 404.
var ErrNoCase = errors.New("no case holds for the request")

// A Case is one of the proxies that a [Switch] chooses from.
type Case struct {
	// Name is the case's in the plan and in errors. "" takes that of the first named step in the plan of Proxy that is
	// not a function, and where there is none the case's number, counted from 1.
	Name string

	// When decides whether the case holds. It looks at the request and leaves it as it is: the body through
	// [Request.Document] or GetBody. nil holds always; it is the default, and only the last case may have it.
	When func(ctx context.Context, req *Request) bool

	// Proxy answers where the case holds. nil is a wiring mistake.
	Proxy Proxy
}

// Switch returns a proxy that calls the first case that holds, and no other. Where none does it fails with an [*Error] of
// status 404 that wraps [ErrNoCase].
//
//	proxy.Switch(
//		proxy.Case{Name: "beta", When: isBeta, Proxy: beta},
//		proxy.Case{Name: "stable", Proxy: stable},
//	)
//
// The case gets the request whole, with its body and a wish to change protocols; its answer is handed on untouched, a
// stream too, and its error with the name of the case.
//
// The conditions are asked one after another, in the order written, until one holds. They and the case run on a goroutine
// of their own, on a copy of the request's maps: a panic or runtime.Goexit fails the call with a [*pipe.PanicError], and
// the deadline holds even against a condition that blocks, as [Hold] describes, for [DefaultMaxAbandoned] calls at a time.
//
// It is a fault in the plan if there are no cases, or one has no proxy, or one that is not the last has no condition, or two
// have the same Name.
func Switch(cases ...Case) Proxy {
	faults := faultsOf("Switch", "")
	if len(cases) == 0 {
		faults.add("there are no cases")
	}
	seen := map[string]bool{}
	for i, c := range cases {
		which := fmt.Sprintf("case %d%s", i+1, inBrackets(c.Name))
		if c.Proxy == nil {
			faults.add("%s has a nil Proxy", which)
		}
		if c.When == nil && i < len(cases)-1 {
			faults.add("%s has a nil When, as only the last may have", which)
		}
		if c.Name != "" && seen[c.Name] {
			faults.add("%s has the name of another case", which)
		}
		seen[c.Name] = true
	}
	return newSwitch("switch", cases, faults)
}

// If returns a proxy that calls then where when holds, and otherwise where it does not. It is a [Switch] of two cases. It is
// a fault in the plan if any of the three is nil.
func If(when func(ctx context.Context, req *Request) bool, then, otherwise Proxy) Proxy {
	faults := faultsOf("If", "")
	if when == nil {
		faults.add("the condition is nil")
	}
	if then == nil {
		faults.add("the proxy for then is nil")
	}
	if otherwise == nil {
		faults.add("the proxy for otherwise is nil")
	}
	return newSwitch("if", []Case{{Name: "then", When: when, Proxy: then}, {Name: "otherwise", Proxy: otherwise}}, faults)
}

func newSwitch(kind string, cases []Case, faults *faults) Proxy {
	source := pipe.Here()
	step := pipe.Step{Mark: mark.Ours(), Kind: kind, Source: source, Detail: counted(len(cases), "case"), Err: faults.err()}
	if n := len(cases); n > 0 && cases[n-1].When != nil {
		step.Detail += ", no default"
	}
	if kind == "if" {
		step.Detail = "" // it is all in the name
	}
	s := &switchPick{names: make([]string, len(cases))}
	c := &choice{op: kind, noun: "case", pick: s.pick}
	for i, one := range cases {
		o := option{name: one.Name, proxy: one.Proxy}
		if o.name == "" {
			o.name = nameIn(pipe.PlanOf(one.Proxy), strconv.Itoa(i+1))
		}
		if one.When == nil && kind != "if" {
			o.detail = "default"
		}
		if one.When != nil {
			step.Effects |= pipe.Opaque
		}
		s.names[i] = o.name
		s.when = append(s.when, one.When)
		c.options = append(c.options, o)
	}
	return c.described(step)
}

type switchPick struct {
	names []string
	when  []func(context.Context, *Request) bool
}

func (s *switchPick) pick(ctx context.Context, req *Request) (int, error) {
	for i := range s.when {
		holds, err := s.holds(i, ctx, req)
		if holds || err != nil {
			return i, err
		}
	}
	return 0, &Error{Status: http.StatusNotFound, Err: ErrNoCase}
}

// holds recovers a condition, to say whose it is.
func (s *switchPick) holds(i int, ctx context.Context, req *Request) (holds bool, err error) {
	if s.when[i] == nil {
		return true, nil
	}
	defer func() {
		if v := recover(); v != nil {
			err = within("case "+s.names[i], pipe.NewPanicError(v))
		}
	}()
	return s.when[i](ctx, req), nil
}

// A choice calls one of several proxies.
type choice struct {
	op      string // in errors, as in "switch"
	noun    string // of what it chooses from, as in "case"
	options []option
	pick    func(ctx context.Context, req *Request) (int, error)
}

type option struct {
	name, detail string
	proxy        Proxy
}

// described returns the choice as a proxy. One whose step is opaque runs a user's function to choose, and is held.
func (c *choice) described(step pipe.Step) Proxy {
	chosen := Proxy(c.call)
	step.Acts, step.Layout = pipe.In, pipe.Choice
	step.Effects |= pipe.CallsOnce
	if step.Effects.Has(pipe.Opaque) {
		chosen = Hold(0)(chosen)
		step.Effects |= pipe.HonoursContext
	}
	serve := func(ctx context.Context, req *Request) (*Response, error) {
		res, err := chosen(ctx, req)
		if err != nil {
			return nil, within(c.op, err)
		}
		return res, nil
	}
	var inner []pipe.Any
	for _, o := range c.options {
		if o.proxy != nil { // else a fault
			inner = append(inner, pipe.Describe(o.proxy, pipe.Step{Mark: mark.Ours(), Kind: c.noun, Name: o.name, Detail: o.detail,
				Source: step.Source, Acts: pipe.None}, o.proxy))
		}
	}
	return pipe.Describe(serve, step, inner...)
}

func (c *choice) call(ctx context.Context, req *Request) (*Response, error) {
	i, err := c.pick(ctx, req)
	if err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil { // to choose may have taken its time
		return nil, err
	}
	res, err := call.Checked(c.options[i].proxy(ctx, req))
	if err != nil {
		return nil, namedAs(c.noun, c.options[i].name, err)
	}
	return res, nil
}

// named says which of several proxies failed, where the error does not say so.
func named(noun, name string, err error) error {
	if e, ok := errors.AsType[*Error](err); ok && e.Backend == name {
		return err
	}
	return fmt.Errorf("%s %s: %w", noun, name, err)
}

// namedAs is named where the proxy stands for the answer, so that it may ask to abort; see within.
func namedAs(noun, name string, err error) error {
	if aborts(err) {
		return err
	}
	return named(noun, name, err)
}

// within says where an error comes from. A panic with http.ErrAbortHandler stays as it is: the endpoint looks for it.
func within(where string, err error) error {
	if aborts(err) {
		return err
	}
	return fmt.Errorf("%s: %w", where, err)
}

// aborts reports whether code asked for the connection to be aborted, as a handler of net/http does.
func aborts(err error) bool {
	p, ok := errors.AsType[*pipe.PanicError](err)
	return ok && err == error(p) && p.Value == http.ErrAbortHandler
}
