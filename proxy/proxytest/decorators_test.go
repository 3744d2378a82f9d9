package proxytest_test

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/sony/gobreaker/v2"
	"golang.org/x/time/rate"

	"github.com/sluice-go/sluice/backend"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/document"
	"github.com/sluice-go/sluice/proxy/policy"
	"github.com/sluice-go/sluice/proxy/proxytest"
	"github.com/sluice-go/sluice/proxy/shape"
)

// Every decorator of sluice keeps the laws.
//
// proves F10
func TestTheDecoratorsOfSluiceConform(t *testing.T) {
	t.Parallel()
	op := func(f func(document.Document) (document.Document, error)) shape.Op {
		return func(_ context.Context, d document.Document) (document.Document, error) { return f(d) }
	}
	refuses := op(func(document.Document) (document.Document, error) { return document.Document{}, errors.New("refused") })
	tests := []struct {
		name      string
		decorator proxy.Decorator
		options   proxytest.Options
	}{
		{"policy.Timeout", policy.Timeout(300 * time.Millisecond), proxytest.Options{}},
		{"policy.Timeout, shorter than all else", policy.Timeout(time.Nanosecond), proxytest.Options{Answers: true}},
		{"policy.Limit", policy.Limit(rate.NewLimiter(rate.Inf, 1)), proxytest.Options{}},
		{"policy.Limit of an Allower", policy.Limit(allows(true)), proxytest.Options{}},
		{"policy.Limit that refuses", nil, proxytest.Options{Answers: true, New: func() proxy.Decorator {
			return policy.Limit(rate.NewLimiter(1, 1))
		}}},
		{"policy.InFlight", policy.InFlight(100), proxytest.Options{}},
		{"policy.InFlight that refuses", nil, proxytest.Options{Answers: true, New: func() proxy.Decorator { return policy.InFlight(1) }}},
		{"policy.Adaptive", policy.Adaptive(policy.AdaptiveSpec{Min: 100}), proxytest.Options{}},
		{"policy.Adaptive that refuses", nil, proxytest.Options{Answers: true, New: func() proxy.Decorator {
			return policy.Adaptive(policy.AdaptiveSpec{Max: 1})
		}}},
		{"policy.Queue", policy.Queue(policy.QueueSpec{InFlight: 100}), proxytest.Options{}},
		{"policy.Queue that refuses", nil, proxytest.Options{Answers: true, New: func() proxy.Decorator {
			return policy.Queue(policy.QueueSpec{InFlight: 1, Length: 1, Priority: func(*proxy.Request) int { return 1 }})
		}}},
		{"policy.Coalesce", nil, proxytest.Options{Answers: true, New: func() proxy.Decorator { return policy.Coalesce(policy.CoalesceSpec{}) }}},
		{"policy.SendDeadline", policy.SendDeadline("X-Deadline"), proxytest.Options{}},
		{"policy.TakeDeadline of no deadline", policy.TakeDeadline("X-Deadline", trusting), proxytest.Options{}},
		{"policy.TakeDeadline", policy.TakeDeadline("X-Deadline", trusting), proxytest.Options{Request: func() *proxy.Request {
			req := proxy.NewRequest("GET", "/users/1")
			req.Header.Set("X-Deadline", "300")
			return req
		}}},
		{"policy.Retry", nil, proxytest.Options{New: func() proxy.Decorator { return policy.Retry(policy.Attempts{}) }}},
		{"policy.Retry, eager", nil, proxytest.Options{New: func() proxy.Decorator {
			return policy.Retry(policy.Attempts{Max: 3, Backoff: -1, Budget: policy.NewBudget(-1, 0), Unsafe: true})
		}}},
		{"policy.Retry, once", policy.Retry(policy.Attempts{Max: 1}), proxytest.Options{}},
		{"policy.Retry within policy.Timeout", nil, proxytest.Options{New: func() proxy.Decorator {
			return pipe.Chain(policy.Timeout(time.Second), policy.Retry(policy.Attempts{}), policy.Timeout(300*time.Millisecond))
		}}},
		{"policy.Hedge", nil, proxytest.Options{New: func() proxy.Decorator { return policy.Hedge(policy.HedgeSpec{}) }}},
		{"policy.Hedge, eager", nil, proxytest.Options{New: func() proxy.Decorator {
			return policy.Hedge(policy.HedgeSpec{Delay: 1, Max: 3, Budget: policy.NewBudget(-1, 0), Unsafe: true})
		}}},
		{"policy.Hedge, once", policy.Hedge(policy.HedgeSpec{Max: 1}), proxytest.Options{}},
		{"policy.Retry, policy.Hedge and policy.Break", nil, proxytest.Options{New: func() proxy.Decorator {
			b := policy.NewBudget(0.2, 10)
			return pipe.Chain(policy.Timeout(2*time.Second), policy.Retry(policy.Attempts{Budget: b}),
				policy.Hedge(policy.HedgeSpec{Delay: 10 * time.Millisecond, Budget: b}),
				policy.Break(policy.NewBreaker(policy.BreakerSpec{MinCalls: 1000})), policy.Timeout(300*time.Millisecond))
		}}},
		{"policy.Break", nil, proxytest.Options{New: func() proxy.Decorator {
			return policy.Break(policy.NewBreaker(policy.BreakerSpec{MinCalls: 1000, SlowCall: 1}))
		}}},
		{"policy.Break of slow calls, with a hook", nil, proxytest.Options{Answers: true, New: func() proxy.Decorator {
			return policy.Break(policy.NewBreaker(policy.BreakerSpec{MinCalls: -1, SlowCall: 1, Open: time.Millisecond,
				OnChange: func(string, policy.BreakerState, policy.BreakerState) {}}))
		}}},
		{"policy.Break of a Breaker", policy.Break(gobreaker.NewTwoStepCircuitBreaker[any](gobreaker.Settings{
			ReadyToTrip: func(gobreaker.Counts) bool { return false }, IsExcluded: policy.Undecided})), proxytest.Options{}},
		{"policy.Break that is open", nil, proxytest.Options{Answers: true, New: func() proxy.Decorator {
			return policy.Break(policy.NewBreaker(policy.BreakerSpec{MinCalls: -1, FailureRatio: 1e-9}))
		}}},
		{"proxy.Hold", proxy.Hold(0), proxytest.Options{}},
		{"proxy.Gives", proxy.Gives("id"), proxytest.Options{}},
		{"pipe.Recover", pipe.Recover[*proxy.Request, *proxy.Response], proxytest.Options{Recovers: true}},
		{"pipe.Observe", pipe.Observe(func(context.Context, proxy.Observation) {}), proxytest.Options{}},
		{"pipe.Observe that panics", pipe.Observe(func(context.Context, proxy.Observation) { panic("a hook") }), proxytest.Options{}},
		{"pipe.Named", pipe.Named("mine", func(next proxy.Proxy) proxy.Proxy { return next }), proxytest.Options{}},
		{"pipe.Chain", pipe.Chain(pipe.Recover, proxy.Hold(0), policy.Timeout(time.Second)), proxytest.Options{}},
		{"shape.SetHeader", shape.SetHeader("X-Tag", "c"), proxytest.Options{}},
		{"shape.RemoveHeader", shape.RemoveHeader("X-Tag"), proxytest.Options{}},
		{"shape.SetResponseHeader", shape.SetResponseHeader("X-Tag", "c"), proxytest.Options{
			Same: func(got, answered *proxy.Response) bool {
				return got.Header.Get("X-Tag") == "c" && got.Document.String() == answered.Document.String()
			}}},
		{"shape.RemoveResponseHeader", shape.RemoveResponseHeader("X-Tag"), proxytest.Options{
			Same: func(got, _ *proxy.Response) bool { return len(got.Header) == 0 }}},
		{"shape.Response", shape.Response(shape.Group("user")), proxytest.Options{Documents: true, Same: isGrouped,
			Refused: func() *proxy.Response { return &proxy.Response{Body: proxytest.NewBody("rows")} }}},
		{"shape.Response whose op fails", shape.Response(refuses), proxytest.Options{Documents: true, Answers: true,
			Refused: func() *proxy.Response { return &proxy.Response{Header: http.Header{}} }}},
		{"shape.Response whose op panics", shape.Response(op(func(d document.Document) (document.Document, error) {
			if d.String() == "[2]" {
				panic("an op")
			}
			return d.Wrap("user"), nil
		})), proxytest.Options{Documents: true, Same: isGrouped, Refused: func() *proxy.Response {
			d, _ := document.Parse([]byte("[2]"))
			return &proxy.Response{Document: d, Header: http.Header{}}
		}}},
		{"shape.Request", shape.Request(shape.Keep("id")), proxytest.Options{}},
		{"shape.Body", shape.Body(`{"id":"{param.id}","name":"{body.name?}"}`), proxytest.Options{}},
		{"shape.Body of the query", shape.Body(`{"page":"{query.page}"}`), proxytest.Options{}},
		{"shape.SetQuery", shape.SetQuery("page", "3"), proxytest.Options{}},
		{"shape.RemoveQuery", shape.RemoveQuery("page"), proxytest.Options{}},
		{"shape.MapStatus", shape.MapStatus(map[int]int{http.StatusOK: http.StatusAccepted}), proxytest.Options{
			Same: func(got, _ *proxy.Response) bool { return got.Status == http.StatusAccepted }}},
		{"shape.MapStatus of a failure", shape.MapStatus(map[int]int{503: 502}), proxytest.Options{}},
		{"shape.Response with Typed", shape.Response(shape.Typed(func(_ context.Context, v any) (any, error) {
			return map[string]any{"user": v}, nil
		})), proxytest.Options{Documents: true, Answers: true, Same: isGrouped}},
		{"backend.ErrorAsData", backend.ErrorAsData("error"), proxytest.Options{Answers: true}},
		{"proxytest.Recorder", new(proxytest.Recorder).Record, proxytest.Options{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			proxytest.Conform(t, tt.decorator, tt.options)
		})
	}
}

// So does every combinator, as a decorator of one of the proxies that it calls.
//
// proves F10
func TestTheCombinatorsOfSluiceConform(t *testing.T) {
	t.Parallel()
	const card = `{"card":1}`
	other := func() proxy.Proxy { return proxytest.Answer(200, card).Proxy() }
	always := func(context.Context, *proxy.Request) bool { return true }
	same := func(text string) func(got, answered *proxy.Response) bool {
		return func(got, _ *proxy.Response) bool { return got.Status == http.StatusOK && got.Document.String() == text }
	}
	members, _ := document.Parse([]byte(card))
	const user, both = `{"id":1,"name":"ada"}`, `{"id":1,"name":"ada","card":1}`
	tests := []struct {
		name      string
		decorator proxy.Decorator
		options   proxytest.Options
	}{
		{"Merge of one", func(next proxy.Proxy) proxy.Proxy { return proxy.Merge(proxy.Part{Name: "user", Proxy: next}) },
			proxytest.Options{Documents: true, Same: same(user)}},
		{"Merge", func(next proxy.Proxy) proxy.Proxy {
			return proxy.Merge(proxy.Part{Name: "user", Proxy: next, Expose: []string{"X-Tag"}}, proxy.Grouped("more", other()))
		}, proxytest.Options{Documents: true, Same: same(`{"id":1,"name":"ada","more":{"card":1}}`)}},
		{"Merge of an optional part", func(next proxy.Proxy) proxy.Proxy {
			return proxy.Merge(proxy.Part{Proxy: other()}, proxy.Optional(proxy.Grouped("user", next)))
		}, proxytest.Options{Documents: true, Answers: true}},
		{"MergeWith a function", func(next proxy.Proxy) proxy.Proxy {
			return proxy.MergeWith(func(_ context.Context, parts proxy.Results) (document.Document, error) {
				return parts.Document("user"), nil
			}, proxy.Part{Name: "user", Proxy: next}, proxy.Part{Name: "other", Proxy: other()})
		}, proxytest.Options{Documents: true, Same: same(user)}},
		{"Sequence of one", func(next proxy.Proxy) proxy.Proxy {
			return proxy.Sequence(proxy.Stage{Name: "user", Proxy: next})
		}, proxytest.Options{}},
		{"Sequence that ends with it", func(next proxy.Proxy) proxy.Proxy {
			return proxy.Sequence(proxy.Stage{Name: "card", Proxy: other(), Internal: true, Expose: []string{"X-No"}},
				proxy.Stage{Name: "user", Proxy: next, Bind: []proxy.Binding{proxy.Bind("card", "card", "card")}})
		}, proxytest.Options{}},
		{"Sequence that binds to it", func(next proxy.Proxy) proxy.Proxy {
			return proxy.Sequence(proxy.Stage{Name: "user", Proxy: next}, proxy.Stage{Name: "card", Proxy: other(), Bind: []proxy.Binding{
				proxy.BindQuery("name", "user", "name"), proxy.BindHeader("X-User", "user", "X-Tag"), proxy.BindBody("user", ""),
			}})
		}, proxytest.Options{Documents: true, Same: same(both)}},
		{"Sequence that begins with it", func(next proxy.Proxy) proxy.Proxy {
			return proxy.Sequence(proxy.Stage{Name: "user", Proxy: next}, proxy.Stage{Name: "card", Proxy: other(),
				Prepare: func(_ context.Context, req *proxy.Request, before proxy.Results) error {
					req.SetBody("application/json", before.Document("user").AppendJSON(nil))
					return nil
				}})
		}, proxytest.Options{Documents: true, Same: same(both)}},
		{"Switch", func(next proxy.Proxy) proxy.Proxy {
			return proxy.Switch(proxy.Case{Name: "user", When: always, Proxy: next}, proxy.Case{Name: "other", Proxy: other()})
		}, proxytest.Options{}},
		{"Switch of a default", func(next proxy.Proxy) proxy.Proxy { return proxy.Switch(proxy.Case{Name: "user", Proxy: next}) },
			proxytest.Options{}},
		{"If", func(next proxy.Proxy) proxy.Proxy { return proxy.If(always, next, other()) }, proxytest.Options{}},
		{"Split", func(next proxy.Proxy) proxy.Proxy {
			return proxy.Split(proxy.SplitSpec{
				Variants: []proxy.Variant{{Name: "user", Weight: 1, Proxy: next}, {Name: "b", Proxy: other()}}})
		}, proxytest.Options{}},
		{"Split by key", func(next proxy.Proxy) proxy.Proxy {
			return proxy.Split(proxy.SplitSpec{Key: func(req *proxy.Request) string { return req.Params.Get("id") },
				Weights: proxy.NewWeights(0, 7), Variants: []proxy.Variant{{Name: "b", Proxy: other()}, {Name: "user", Proxy: next}}})
		}, proxytest.Options{}},
		{"Fallback of none", func(next proxy.Proxy) proxy.Proxy { return proxy.Fallback(next) }, proxytest.Options{Recovers: true}},
		{"Fallback", func(next proxy.Proxy) proxy.Proxy { return proxy.Fallback(next, other()) },
			proxytest.Options{Answers: true, Recovers: true}},
		{"Fallback to it", func(next proxy.Proxy) proxy.Proxy {
			return proxy.Fallback(proxytest.Answer(500, "").Stream().Proxy(), next)
		}, proxytest.Options{Answers: true, Recovers: true}},
		{"Race of one", func(next proxy.Proxy) proxy.Proxy { return proxy.Race(next) }, proxytest.Options{Recovers: true}},
		{"Race that it loses", func(next proxy.Proxy) proxy.Proxy { return proxy.Race(next, other()) },
			proxytest.Options{Answers: true, Recovers: true}},
		{"Race that it wins", func(next proxy.Proxy) proxy.Proxy {
			return proxy.Race(proxytest.Answer(200, card).After(time.Minute).Proxy(), next)
		},
			proxytest.Options{Answers: true, Recovers: true}},
		{"Static", proxy.Static(proxy.OnSuccess, members), proxytest.Options{Refused: func() *proxy.Response {
			d, _ := document.Parse([]byte("[2]"))
			return &proxy.Response{Document: d, Header: http.Header{}}
		}, Same: same(both)}},
		{"Static in place of a failure", proxy.Static(proxy.OnError, members), proxytest.Options{Answers: true}},
		{"Encode of a Decode", func(next proxy.Proxy) proxy.Proxy { return proxy.Encode(proxy.Decode[any](next)) },
			proxytest.Options{Documents: true, Answers: true, Same: same(user)}},
		{"Swap", func(next proxy.Proxy) proxy.Proxy { return proxy.NewSwap(next).Proxy() }, proxytest.Options{}},
		{"Shadow", nil, proxytest.Options{New: func() proxy.Decorator {
			s, _ := proxy.NewShadow(proxy.ShadowSpec{Mirror: other()})
			return s.Decorate
		}}},
		{"Shadow that compares with what is deaf", nil, proxytest.Options{New: func() proxy.Decorator {
			deaf := func(context.Context, *proxy.Request) (*proxy.Response, error) {
				<-time.After(time.Minute)
				return nil, errors.New("late")
			}
			s, _ := proxy.NewShadow(proxy.ShadowSpec{Mirror: deaf, Timeout: time.Second,
				Compare: func(context.Context, proxy.Result, proxy.Result) {}})
			return s.Decorate
		}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			proxytest.Conform(t, tt.decorator, tt.options)
		})
	}
}

func isGrouped(got, answered *proxy.Response) bool {
	return got.Document.String() == answered.Document.Wrap("user").String()
}

// teapot returns a response at which a hook of these tests panics.
func teapot() *proxy.Response {
	return &proxy.Response{Status: http.StatusTeapot, Header: http.Header{}, Body: proxytest.NewBody("tea")}
}

// allows is an Allower that always gives the same answer.
type allows bool

func (a allows) Allow() bool { return bool(a) }

func trusting(context.Context, *proxy.Request) bool { return true }
