package test_test

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/backend"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/document"
	"github.com/sluice-go/sluice/proxy/flow"
	"github.com/sluice-go/sluice/proxy/policy"
	"github.com/sluice-go/sluice/proxy/shape"
)

// A lawPipe is a random pipe. It is a pure function of its seed, and of whether a leaf or decorator
// may stand in several places. If one may, it can be called in two of them at once, and only chance
// says which call is the first.
type lawPipe struct {
	*lawWorld
	rng   *rand.Rand
	names int
	each  int      // how many Each are around the place where the pipe is being made
	kept  []string // the names of those who keep the diary
	reuse bool
	owns  []proxy.Decorator
	leafs []proxy.Proxy
	pipe  proxy.Proxy
	plan  *pipe.Step
}

func newLawPipe(t *testing.T, seed uint64, reuse bool) *lawPipe {
	g := &lawPipe{lawWorld: new(lawWorld), rng: rand.New(rand.NewPCG(seed, 1)), reuse: reuse}
	g.reset(seed)
	g.pipe = g.decorated(g.tree(1 + g.rng.IntN(3)))
	g.plan = pipe.PlanOf(g.pipe)
	require.NoError(t, g.plan.Faults())
	return g
}

// oneOf reports true for one of n pipes.
func (g *lawPipe) oneOf(n int) bool { return g.rng.IntN(n) == 0 }

// name returns a new name.
func (g *lawPipe) name(kind string) string {
	g.names++
	return fmt.Sprintf("%s%d", kind, g.names)
}

// diarist returns a new name of a function that keeps the diary.
func (g *lawPipe) diarist(kind string) string {
	name := g.name(kind)
	g.kept = append(g.kept, name)
	return name
}

// maybeName returns a new name or, where names that are derived from plans cannot be equal, perhaps
// none.
func (g *lawPipe) maybeName(kind string) string {
	if !g.reuse && g.oneOf(2) {
		return ""
	}
	return g.name(kind)
}

// span returns a duration that no other thing in the pipe lasts.
func (g *lawPipe) span(least, most time.Duration) time.Duration {
	return least + time.Duration(g.rng.Int64N(int64(most-least)))
}

// tree returns a random pipe of at most that depth.
func (g *lawPipe) tree(depth int) proxy.Proxy {
	if depth == 0 {
		return g.leaf()
	}
	sub := func() proxy.Proxy { return g.decorated(g.tree(g.rng.IntN(depth))) }
	switch g.rng.IntN(15) {
	case 0, 1:
		return g.merge(sub)
	case 2, 3:
		return g.sequence(sub)
	case 4:
		return proxy.Switch(
			proxy.Case{Name: g.name("case"), When: g.when(g.name("when")), Proxy: sub()},
			proxy.Case{When: g.when(g.name("when")), Proxy: sub()},
			proxy.Case{Name: g.name("case"), Proxy: sub()})
	case 5:
		return proxy.If(g.when(g.name("when")), sub(), sub())
	case 6:
		if g.oneOf(2) { // without code of a user: the request says which variant
			return proxy.Split(proxy.SplitSpec{Header: "X-Variant", Variants: []proxy.Variant{
				{Name: "stable", Weight: 1, Proxy: sub()}, {Name: "canary", Proxy: sub()}}})
		}
		name := g.diarist("split")
		key := func(req *proxy.Request) string {
			g.acts(untold, name)
			d := g.of(name, keysIn(req))
			if d.upset(untold, name) != nil {
				panic(name)
			}
			g.passed(name)
			return fmt.Sprint("account", d.IntN(100))
		}
		return proxy.Split(proxy.SplitSpec{Name: name, Key: key, Variants: []proxy.Variant{
			{Name: g.name("variant"), Weight: 1, Proxy: sub()}, {Name: g.name("variant"), Weight: 2, Proxy: sub()}}})
	case 7, 8:
		if g.oneOf(3) {
			return proxy.Fallback(sub(), sub(), sub())
		}
		return proxy.Fallback(sub(), sub())
	case 9:
		return proxy.RaceWith(proxy.RaceSpec{Name: g.name("race"), Proxies: []proxy.Proxy{sub(), sub()}, Unsafe: true})
	case 10:
		swap := proxy.NewSwap(sub())
		if g.oneOf(2) {
			_, _ = swap.Store(sub())
		}
		return swap.Proxy()
	case 11, 12:
		return g.flow(sub)
	case 13:
		return g.adapted(sub())
	}
	return g.decorated(g.tree(depth - 1))
}

func (g *lawPipe) merge(sub func() proxy.Proxy) proxy.Proxy {
	var parts []proxy.Part
	for i := range 2 + g.rng.IntN(2) {
		part := proxy.Part{Proxy: sub(), Expose: []string{"X-Leaf"}}
		if i > 0 && g.oneOf(2) {
			part = proxy.Grouped(g.name("group"), sub())
		}
		if part.Name == "" {
			part.Name = g.maybeName("part")
		}
		if g.oneOf(3) {
			part = proxy.Optional(part)
		}
		if g.oneOf(5) {
			part.When = g.when(g.name("when"))
		}
		parts = append(parts, part)
	}
	switch g.rng.IntN(4) {
	case 0:
		return proxy.MergeWith(proxy.Deep, parts...)
	case 1:
		name := g.name("combine")
		return proxy.MergeWith(func(ctx context.Context, rs proxy.Results) (document.Document, error) {
			if err := g.of(name, keysOf(ctx)).upset(ctx, name); err != nil {
				return document.Document{}, err
			}
			return proxy.Shallow(ctx, rs)
		}, parts...)
	}
	return proxy.Merge(parts...)
}

func (g *lawPipe) sequence(sub func() proxy.Proxy) proxy.Proxy {
	first := g.name("stage")
	stages := []proxy.Stage{
		{Name: first, Proxy: sub(), Optional: g.oneOf(2), Internal: g.oneOf(2), Expose: []string{"X-Leaf"}},
		{Name: g.maybeName("stage"), Proxy: sub()}}
	if g.oneOf(3) {
		stages = append(stages, proxy.Stage{Name: g.maybeName("stage"), Proxy: sub(), Optional: g.oneOf(2)})
	}
	for i := range stages[1:] {
		s := &stages[i+1]
		if g.oneOf(3) {
			s.Bind = append(s.Bind, proxy.Bind(g.name("param"), first, "id"), proxy.BindHeader("X-Of", first, "X-Leaf"))
		}
		if g.oneOf(3) {
			name := g.name("prepare")
			s.Prepare = func(ctx context.Context, req *proxy.Request, _ proxy.Results) error {
				req.Upstream.Set("X-Prepared", name)
				return g.of(name, keysOf(ctx)).upset(ctx, name)
			}
		}
		if g.oneOf(5) {
			when := g.when(g.name("when"))
			s.When = func(ctx context.Context, req *proxy.Request, _ proxy.Results) bool { return when(ctx, req) }
		}
		if g.oneOf(4) {
			s.Group = g.name("group")
		}
	}
	return proxy.Sequence(stages...)
}

// when returns a condition.
func (g *lawPipe) when(name string) func(context.Context, *proxy.Request) bool {
	return func(ctx context.Context, _ *proxy.Request) bool {
		d := g.of(name, keysOf(ctx))
		if d.upset(ctx, name) != nil {
			panic(name)
		}
		_ = d.pause(ctx)
		return d.IntN(2) == 0
	}
}

// calm returns the dice of a function that is told nothing of its call. Inside an Each, where it may
// be called several times at once, it does not fail: nobody could say which call is the first.
func (g *lawPipe) calm(name string) func() error {
	if g.each > 0 {
		return func() error { return nil }
	}
	return func() error {
		d := g.now(name)
		if kind, fails := d.fails(2); fails {
			_ = d.pause(untold)
			if kind == 0 {
				panic(name)
			}
			return errLaw
		}
		return nil
	}
}

// flow returns a graph of two to five calls.
func (g *lawPipe) flow(sub func() proxy.Proxy) proxy.Proxy {
	call := func() pipe.Pipe[*proxy.Request, any] { return proxy.Decode[any](sub()) }
	a := flow.Call(g.name("call"), call())
	b := lawThen(g, a, call())
	c := flow.Call(g.name("call"), call())
	join := g.calm(g.name("join"))
	joined := func(values ...any) (map[string]any, error) {
		return map[string]any{"values": fmt.Sprint(values...)}, join()
	}
	switch g.rng.IntN(4) {
	case 0: // a tree cannot show this graph: one node needs both calls, the other only one
		d := lawThen(g, flow.Both(a, c), call())
		return proxy.Encode(flow.Join2(b, d, func(b, d any) (map[string]any, error) { return joined(b, d) }))
	case 1:
		return proxy.Encode(flow.Join2(b, flow.Optional(c), func(b any, c flow.Maybe[any]) (map[string]any, error) {
			return joined(b, c.Or("none"))
		}))
	case 2:
		maybe := lawThen(g, flow.Optional(c), call())
		return proxy.Encode(flow.Join3(a, flow.Optional(b), maybe, func(a any, b flow.Maybe[any], m any) (map[string]any, error) {
			return joined(a, b.Or("none"), m)
		}))
	}
	listing, making := g.diarist("map"), g.calm(g.name("making"))
	list := flow.Map(listing, b, func(any) ([]string, error) {
		g.acts(untold, listing)
		return []string{"k", "l", "k", "m"}, making()
	})
	name := g.diarist("each")
	key := func(k string) string {
		g.acts(untold, name)
		g.passed(name)
		return k
	}
	g.each++
	one := proxy.Decode[any](sub().With(keyed))
	g.each--
	param := flow.Param(name, func(k string) string { return k })
	switch g.rng.IntN(3) {
	case 0:
		all := flow.Batch(name, list, key, flow.Param(name, func(ks []string) string { return strings.Join(ks, "-") }), call())
		return proxy.Encode(flow.Join2(c, all, func(c, all any) (map[string]any, error) { return joined(c, all) }))
	case 1:
		all := flow.EachWith(flow.Limits{Parallel: 2}, name, list, key, param, one)
		return proxy.Encode(flow.Join2(c, all, func(c any, all map[string]any) (map[string]any, error) {
			return joined(c, all["k"], all["l"], all["m"])
		}))
	}
	some := flow.EachSome(name, list, key, param, one)
	return proxy.Encode(flow.End(flow.Map(g.name("end"), some, func(some map[string]flow.Maybe[any]) (map[string]any, error) {
		return joined(some["k"].Or("none"), some["l"].Or("none"), some["m"].Or("none"))
	})))
}

// lawThen returns a node that needs a.
func lawThen[A any](g *lawPipe, a flow.Node[A], call pipe.Pipe[*proxy.Request, any]) flow.Node[any] {
	name, failing := g.diarist("then"), g.calm(g.name("prepare"))
	prepare := func() error {
		g.acts(untold, name)
		err := failing()
		if err == nil {
			g.passed(name)
		}
		return err
	}
	if g.oneOf(2) {
		return flow.Then(name, a, func(*proxy.Request, A) error { return prepare() }, call)
	}
	return flow.Then(name, a, flow.Param(g.name("param"), func(A) string {
		if prepare() != nil {
			return "" // which no param may be
		}
		return "7"
	}), call)
}

// adapted returns p by way of pipes of another type.
func (g *lawPipe) adapted(p proxy.Proxy) proxy.Proxy {
	name := g.diarist("adapt")
	return proxy.Encode(pipe.Adapt(p, func(next proxy.Proxy) pipe.Pipe[*proxy.Request, document.Document] {
		call := func(ctx context.Context, req *proxy.Request) (document.Document, error) {
			g.acts(ctx, name)
			g.passed(name)
			res, err := next(ctx, req)
			if err != nil || res == nil {
				return document.Document{}, fmt.Errorf("%s: %w", name, err)
			}
			return res.Document, res.Close()
		}
		return pipe.Describe(call, pipe.Step{Kind: "func", Name: name, Acts: pipe.In, Effects: pipe.CallsOnce}, next)
	}))
}

// again returns one of all, or none if there shall be a new one.
func again[T any](g *lawPipe, all []T) (one T, found bool) {
	if !g.reuse || len(all) == 0 || !g.oneOf(4) {
		return one, false
	}
	return all[g.rng.IntN(len(all))], true
}

// leaf returns a leaf, perhaps one that is in the pipe already.
func (g *lawPipe) leaf() proxy.Proxy {
	p, found := again(g, g.leafs)
	if !found {
		p = g.newLeaf()
		g.leafs = append(g.leafs, p)
	}
	return p
}

func (g *lawPipe) newLeaf() proxy.Proxy {
	name := g.diarist("leaf")
	l := &lawLeaf{world: g.lawWorld, name: name, honest: g.oneOf(2)}
	if !l.honest && g.oneOf(2) {
		return pipe.NamedPipe(name, l.call)
	}
	step := pipe.Step{Kind: "leaf", Name: name, Effects: pipe.Terminal | pipe.Idempotent | pipe.HonoursContext}
	if !l.honest {
		step.Effects = pipe.Terminal | pipe.Idempotent | pipe.Opaque
	}
	return pipe.Describe(l.call, step)
}

var lawData = document.MustParse(`{"static":true}`)

// decorated returns p in some decorators, the last of which settles; see lawDice.pause.
func (g *lawPipe) decorated(p proxy.Proxy) proxy.Proxy {
	for range g.rng.IntN(3) {
		p = p.With(g.decorator())
	}
	return p.With(g.own())
}

// decorator returns a decorator of sluice, most often with code of a user in it.
func (g *lawPipe) decorator() proxy.Decorator {
	switch g.rng.IntN(23) {
	case 0, 1:
		return policy.Timeout(g.span(5*time.Millisecond, 60*time.Millisecond))
	case 2, 3:
		return policy.Retry(policy.Attempts{Max: 2 + g.rng.IntN(2), Backoff: -1, Budget: policy.NewBudget(-1, 0), Unsafe: true})
	case 4:
		name := g.diarist("limit")
		return pipe.Named(name, policy.Limit(&lawAllower{g.lawWorld, name, g.each > 0}))
	case 5:
		return proxy.Hold(0)
	case 6:
		return proxy.Static(proxy.Moment(g.rng.IntN(5)), lawData)
	case 7:
		return pipe.Recover
	case 8:
		name := g.diarist("observe")
		return pipe.Named(name, pipe.Observe(func(ctx context.Context, o proxy.Observation) {
			if o.Err == nil && o.Response != nil {
				g.acts(ctx, name)
			}
		}))
	case 9:
		return shape.Response(shape.Drop("x"), g.op())
	case 10:
		return shape.Request(g.op(), shape.Drop("x"))
	case 11:
		return pipe.Chain(shape.Body(`{"b":"{body.a?}"}`), shape.SetHeader("X-A", "a"), shape.SetResponseHeader("X-B", "b"))
	case 12:
		return g.shadow()
	case 13:
		return pipe.Named(g.name("chain"), pipe.Chain(g.own(), g.own()))
	case 14:
		return g.house()
	case 15:
		return backend.ErrorAsData("failed")
	case 16:
		name := g.name("key")
		return policy.LimitBy(func(ctx context.Context, req *proxy.Request) (string, error) {
			return "", g.of(name, keysIn(req)).upset(ctx, name)
		}, policy.PerSecond(1000))
	case 17:
		return pipe.Chain(policy.SendDeadline("X-Ms"), g.slots())
	case 18, 19:
		return policy.Hedge(policy.HedgeSpec{Delay: g.span(5*time.Millisecond, 40*time.Millisecond), Max: 2 + g.rng.IntN(2),
			Budget: policy.NewBudget(-1, 0), Unsafe: true})
	case 20:
		return policy.Break(policy.NewBreaker(policy.BreakerSpec{Name: g.name("break"), MinCalls: -1, FailureRatio: 1, Open: g.span(time.Millisecond, time.Hour)}))
	case 21:
		name := g.name("key")
		return policy.Coalesce(policy.CoalesceSpec{Key: func(ctx context.Context, req *proxy.Request) (string, error) {
			return "", g.of(name, keysIn(req)).upset(ctx, name)
		}})
	}
	return g.own()
}

// slots returns a decorator that refuses calls for which it has no slot, or has them wait.
func (g *lawPipe) slots() proxy.Decorator {
	n := 1 + g.rng.IntN(3)
	switch g.rng.IntN(3) {
	case 0:
		return policy.InFlight(n)
	case 1:
		return policy.Adaptive(policy.AdaptiveSpec{Max: n})
	}
	return policy.Queue(policy.QueueSpec{InFlight: n, Length: n, Wait: g.span(time.Millisecond, 20*time.Millisecond), Target: -1})
}

// house returns a decorator that hides next in a function, so that the plan does not show where it
// is called.
func (g *lawPipe) house() proxy.Decorator {
	name, form, first, past := g.name("house"), g.rng.IntN(3), g.decorated(g.leaf()), g.oneOf(2)
	own, passes := g.own(), g.name("past")
	return pipe.Named(name, func(next proxy.Proxy) proxy.Proxy {
		hidden := own(func(ctx context.Context, req *proxy.Request) (*proxy.Response, error) { return next(ctx, req) })
		if past { // own, at times
			hidden = hidden.With(pipe.Named(passes, func(inner proxy.Proxy) proxy.Proxy {
				return func(ctx context.Context, req *proxy.Request) (*proxy.Response, error) {
					if g.of(passes, keysOf(ctx)).IntN(2) == 0 {
						return next(ctx, req)
					}
					return inner(ctx, req)
				}
			}))
		}
		switch form {
		case 0:
			return hidden
		case 1:
			return proxy.Sequence(proxy.Stage{Name: "first", Proxy: first}, proxy.Stage{Name: "hidden", Proxy: hidden})
		}
		return proxy.Merge(proxy.Part{Name: "first", Proxy: first}, proxy.Part{Name: "hidden", Proxy: hidden})
	})
}

// A lawAllower allows most calls.
type lawAllower struct {
	world *lawWorld
	name  string
	calm  bool
}

func (a *lawAllower) Allow() bool {
	a.world.acts(untold, a.name)
	if d := a.world.now(a.name); !a.calm && d.IntN(d.odds/2) == 0 {
		_ = d.pause(untold)
		return false
	}
	a.world.passed(a.name)
	return true
}

// op returns an op on a document.
func (g *lawPipe) op() shape.Op {
	name := g.diarist("op")
	return pipe.NamedPipe(name, func(ctx context.Context, d document.Document) (document.Document, error) {
		g.acts(ctx, name)
		if err := g.of(name, keysOf(ctx)).upset(ctx, name); err != nil {
			return d, err
		}
		g.passed(name)
		return d, nil
	})
}

func (g *lawPipe) shadow() proxy.Decorator {
	mirror := g.decorated(g.leaf())
	if g.oneOf(2) {
		mirror = proxy.Sequence(proxy.Stage{Name: "first", Proxy: mirror}, proxy.Stage{Name: "last", Proxy: g.decorated(g.leaf())})
	}
	spec := proxy.ShadowSpec{Mirror: mirror, Timeout: g.span(10*time.Millisecond, 60*time.Millisecond)}
	if g.oneOf(2) {
		name := g.name("compare")
		spec.Compare = func(ctx context.Context, _, _ proxy.Result) { _ = g.of(name, keysOf(ctx)).upset(ctx, name) }
	}
	shadow, err := proxy.NewShadow(spec)
	if err != nil {
		return proxy.Fault(err)
	}
	return shadow.Decorate
}

// own returns a decorator of a user, perhaps one that is in the pipe already.
func (g *lawPipe) own() proxy.Decorator {
	d, found := again(g, g.owns)
	if !found {
		d = g.newOwn()
		g.owns = append(g.owns, d)
	}
	return d
}

func (g *lawPipe) newOwn() proxy.Decorator {
	o := &lawOwn{world: g.lawWorld, name: g.diarist("own")}
	described := func(kind string, acts pipe.Way, effects pipe.Effects) proxy.Decorator {
		step := pipe.Step{Kind: kind, Name: o.name, Acts: acts, Effects: effects}
		return func(next proxy.Proxy) proxy.Proxy {
			next = pipe.Described(next)
			return pipe.Describe(o.around(next), step, next)
		}
	}
	switch g.rng.IntN(9) {
	case 0, 1:
		o.opaque = true
		return pipe.Named(o.name, func(next proxy.Proxy) proxy.Proxy { return o.around(next) })
	case 2:
		o.skips = true
		return described("sometimes", pipe.In, pipe.CallsOnce|pipe.Skippable|pipe.PassesOn)
	case 3:
		o.answers = true
		return described("cache", pipe.Both, pipe.CallsOnce|pipe.Caches)
	case 4:
		o.recovers = true
		return described("rescue", pipe.In, pipe.CallsOnce|pipe.Recovers)
	case 5:
		o.twice = true
		return described("twice", pipe.In, pipe.CallsMany|pipe.PassesOn)
	case 6, 7:
		o.out = true
		return described("after", pipe.Out, pipe.CallsOnce|pipe.PassesOn)
	}
	return described("guard", pipe.In, pipe.CallsOnce|pipe.PassesOn)
}

// A lawOwn is a decorator of a user. Without a field that is set it acts on the way in, and fails or
// calls next.
type lawOwn struct {
	world    *lawWorld
	name     string
	opaque   bool // it may do anything
	skips    bool // it may let a request through without acting
	answers  bool // it may answer without calling next
	recovers bool // it answers if next fails
	twice    bool // it may call next twice
	out      bool // it acts on the way out
}

func (o *lawOwn) around(next proxy.Proxy) proxy.Proxy {
	return func(ctx context.Context, req *proxy.Request) (res *proxy.Response, err error) {
		d := o.world.of(o.name, keysOf(ctx))
		defer func() { _ = d.settle(ctx) }()
		if o.out {
			return o.after(ctx, d)(next(ctx, req))
		}
		if !o.skips || d.IntN(2) == 0 {
			o.world.acts(ctx, o.name)
			if kind, fails := d.fails(4); fails && (kind > 0 || o.opaque) {
				if err := d.pause(ctx); err != nil {
					return nil, err
				}
				switch kind {
				case 0:
					d.deaf()
				case 1:
					panic(o.name)
				default:
					return nil, &proxy.Error{Status: http.StatusForbidden, Op: o.name, Err: errLaw}
				}
			}
			o.world.passed(o.name)
		}
		if (o.answers || o.opaque) && d.IntN(4) == 0 {
			if err := d.pause(ctx); err != nil {
				return nil, err
			}
			return &proxy.Response{Status: http.StatusOK, Document: document.MustParse(`{"own":true}`)}, nil
		}
		var again *proxy.Request
		if o.twice && req.Replayable() && d.IntN(2) == 0 {
			if again, err = req.Clone(); err != nil {
				return nil, err
			}
		}
		res, err = next(ctx, req)
		switch {
		case again != nil:
			if res != nil {
				_ = res.Close()
			}
			if again.Body != nil {
				defer func() { _ = again.Body.Close() }()
			}
			return next(ctx, again)
		case err != nil && o.recovers && ctx.Err() == nil:
			return &proxy.Response{Status: http.StatusOK, Document: document.MustParse(`{"own":true}`), Err: err}, nil
		}
		return res, err
	}
}

// after acts on the way out: on a response.
func (o *lawOwn) after(ctx context.Context, d lawDice) func(*proxy.Response, error) (*proxy.Response, error) {
	return func(res *proxy.Response, err error) (*proxy.Response, error) {
		if err != nil || res == nil {
			return res, err
		}
		o.world.acts(ctx, o.name)
		if kind, fails := d.fails(2); fails {
			_ = res.Close()
			if kind == 0 {
				panic(o.name)
			}
			return nil, fmt.Errorf("%s: %w", o.name, errLaw)
		}
		return res, nil
	}
}

// lawRequest returns the request of a run, which has a body, perhaps one that is read once.
func lawRequest(rng *rand.Rand) *proxy.Request {
	req := proxy.NewRequest(http.MethodPut, "/a")
	open := func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(`{"a":1}`)), nil }
	if rng.IntN(4) > 0 {
		req.Body, _ = open()
		req.ContentLength = 7
	}
	if rng.IntN(8) > 0 {
		req.GetBody = open
	}
	if rng.IntN(2) == 0 {
		req.Header.Set("X-Variant", "canary")
	}
	return req
}
