package proxy

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"

	"github.com/sluice-go/sluice/internal/call"
	"github.com/sluice-go/sluice/internal/mark"
	"github.com/sluice-go/sluice/internal/watch"
	"github.com/sluice-go/sluice/pipe"
)

// ErrNoCase is why a [Switch] without a default refuses a request. It comes in an [*Error] of
// status 404.
var ErrNoCase = errors.New("no case holds for the request")

// A Case is one of the proxies that a [Switch] chooses from.
type Case struct {
	// Name is the name of the case in the plan and in errors. If it is "", the case takes the name
	// of the first named step in the plan of Proxy that is not a function. If there is none, it
	// takes its number, counted from 1.
	Name string

	// When decides whether the case holds. It must not change the request, and reads the body only
	// through [Request.Document] or GetBody. A nil When always holds: it makes the case the
	// default, and only the last case may have it.
	When func(ctx context.Context, req *Request) bool

	// Proxy answers if the case holds. A nil Proxy is a fault in the plan.
	Proxy Proxy
}

// Switch returns a proxy that calls the first case that holds, and no other. If none holds, it
// fails with an [*Error] of status 404 that wraps [ErrNoCase].
//
//	proxy.Switch(
//		proxy.Case{Name: "beta", When: isBeta, Proxy: beta},
//		proxy.Case{Name: "stable", Proxy: stable},
//	)
//
// The case gets the whole request, with its body and any request to change protocols. Its answer is
// returned untouched, a stream too. Its error is returned with the name of the case.
//
// The conditions are checked one after another, in the order given, until one holds. The conditions
// and the case run on a goroutine of their own, on a copy of the request's maps. A panic or
// runtime.Goexit fails the call with a [*pipe.PanicError]. The deadline is enforced even if a
// condition blocks, as [Hold] describes, for up to [DefaultMaxAbandoned] calls at a time.
//
// It is a fault in the plan if there are no cases, if one has no proxy, if one other than the last
// has no condition, or if two have the same Name.
func Switch(cases ...Case) Proxy {
	faults := faultsOf("Switch", "")
	if len(cases) == 0 {
		faults.add("there are no cases")
	}
	seen := map[string]bool{}
	for i, c := range cases {
		which := numbered("case", i, c.title(i))
		if c.Proxy == nil {
			faults.add("%s has a nil Proxy", which)
		}
		if c.When == nil && i < len(cases)-1 {
			faults.add("%s has a nil When, which only the last case may have", which)
		}
		if c.Name != "" && seen[c.Name] {
			faults.add("%s has the name of another case", which)
		}
		seen[c.Name] = true
	}
	return newSwitch("switch", cases, faults)
}

// If returns a proxy that calls then if when holds, and otherwise if it does not. It is a [Switch]
// of two cases. It is a fault in the plan if any of the three arguments is nil.
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
	step := pipe.Step{Mark: mark.Borrows(), Kind: kind, Source: source, Detail: counted(len(cases), "case"), Err: faults.err()}
	if n := len(cases); n > 0 && cases[n-1].When != nil {
		step.Detail += ", no default"
	}
	if kind == "if" {
		step.Detail = "" // an if always has two cases and a default
	}
	s := &switchPick{names: make([]string, len(cases))}
	c := &choice{op: kind, noun: "case", pick: s.pick}
	for i, one := range cases {
		o := option{name: one.title(i), proxy: one.Proxy}
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

// title returns the name of the case, given or derived, or else its number.
func (c *Case) title(i int) string {
	if c.Name != "" {
		return c.Name
	}
	return nameIn(pipe.PlanOf(c.Proxy), strconv.Itoa(i+1))
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

// holds calls a condition, and recovers its panic to say which case it came from.
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
	noun    string // what one option is called, as in "case"
	options []option
	pick    func(ctx context.Context, req *Request) (int, error)
}

type option struct {
	name, detail string
	proxy        Proxy
}

// described returns the choice as a proxy. An opaque step means that a function of the user
// chooses; such a choice is held.
func (c *choice) described(step pipe.Step) Proxy {
	chosen := Proxy(c.call)
	step.Acts, step.Layout = pipe.In, pipe.Choice
	step.Effects |= pipe.CallsOnce | pipe.PassesOn
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
	for i := range c.options {
		if o := &c.options[i]; o.proxy != nil { // nil is a fault
			p := pipe.Described(o.proxy)
			o.proxy = pipe.Describe(p, pipe.Step{Mark: mark.Borrows(), Kind: c.noun, Name: o.name, Detail: o.detail,
				Source: step.Source, Acts: pipe.None, Effects: pipe.PassesOn}, p)
			inner = append(inner, o.proxy)
		}
	}
	step.Calls = 1
	return pipe.Describe(serve, step, inner...)
}

func (c *choice) call(ctx context.Context, req *Request) (*Response, error) {
	i, err := c.pick(ctx, req)
	if err != nil {
		return nil, err
	}
	watch.Note(ctx, c.noun, c.options[i].name)
	if err := ctx.Err(); err != nil { // choosing may have used up the time
		return nil, err
	}
	res, err := call.Checked(c.options[i].proxy(ctx, req))
	if err != nil {
		return nil, namedAs(c.noun, c.options[i].name, err)
	}
	return res, nil
}

// named adds to err which of several proxies failed, unless err says so already.
func named(noun, name string, err error) error {
	if e, ok := call.As[*Error](err); ok && e.Backend == name {
		return err
	}
	return fmt.Errorf("%s %s: %w", noun, name, err)
}

// namedAs is named for a proxy whose answer is returned as it is, so that the proxy may ask to
// abort; see within.
func namedAs(noun, name string, err error) error {
	if aborts(err) {
		return err
	}
	return named(noun, name, err)
}

// within adds to err where it comes from. A panic with http.ErrAbortHandler stays as it is, because
// the endpoint looks for it.
func within(where string, err error) error {
	if aborts(err) {
		return err
	}
	return fmt.Errorf("%s: %w", where, err)
}

// aborts reports whether code asked for the connection to be aborted, as a handler of net/http can.
func aborts(err error) bool {
	p, ok := call.As[*pipe.PanicError](err)
	return ok && err == error(p) && p.Value == http.ErrAbortHandler
}
