package proxy_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-go/sluice/internal/call"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/document"
	"github.com/sluice-go/sluice/proxy/proxytest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The faults of one proxy of a combinator: it fails, takes 500 ms, ignores its context forever,
// panics, streams, or waits until the client leaves after 100 ms.
const (
	isFailing = iota
	isSlow
	isDeaf
	isPanicking
	isStreaming
	isLeaving
)

// Every combinator gets two proxies and a second of time. One proxy is faulty, the other answers
// after 200 ms. A row gives for each fault the status, what the caller gets of the answer, and how
// long that takes.
//
// proves M1, M2, M3, M8, M15, M19, M21, T3, T4, C1, C5, C6
func TestEveryCombinatorWithEveryFault(t *testing.T) {
	t.Parallel()
	type proxies struct{ faulty, other proxy.Proxy }
	stage := func(name string, p proxy.Proxy) proxy.Stage { return proxy.Stage{Name: name, Proxy: p} }
	last := func(_ context.Context, parts proxy.Results) (document.Document, error) { return parts[1].Document, nil }
	weights := []proxy.Variant{{Name: "faulty", Weight: 1}, {Name: "other"}}
	split := func(key func(*proxy.Request) string, p proxies) proxy.Proxy {
		s := proxy.SplitSpec{Key: key, Variants: append([]proxy.Variant(nil), weights...)}
		s.Variants[0].Proxy, s.Variants[1].Proxy = p.faulty, p.other
		return proxy.Split(s)
	}
	shadow := func(t *testing.T, next, mirror proxy.Proxy) proxy.Proxy {
		return next.With(newShadow(t, proxy.ShadowSpec{Mirror: mirror, Timeout: 2 * time.Second}).Decorate)
	}
	members, err := document.Parse([]byte(`{"s":1}`))
	require.NoError(t, err)

	through := [...]string{"502 after 0s", `200 {"f":1} after 500ms`, "504 after 1s", "500 after 0s", "200 stream after 0s",
		"499 after 100ms"} // the outcome of the faulty one alone
	tests := []struct {
		name string
		make func(t *testing.T, p proxies) proxy.Proxy
		want [6]string
	}{
		{"Merge", func(_ *testing.T, p proxies) proxy.Proxy {
			return proxy.Merge(proxy.Part{Name: "f", Proxy: p.faulty}, proxy.Part{Name: "o", Proxy: p.other})
		}, [...]string{"502 after 0s", `200 {"f":1,"o":1} after 500ms`, "504 after 1s", "500 after 0s", "502 after 0s",
			"499 after 100ms"}},
		{"Merge, optional", func(_ *testing.T, p proxies) proxy.Proxy {
			return proxy.Merge(proxy.Optional(proxy.Part{Name: "f", Proxy: p.faulty}), proxy.Part{Name: "o", Proxy: p.other})
		}, [...]string{`200 {"o":1} partial after 200ms`, `200 {"f":1,"o":1} after 500ms`, `200 {"o":1} partial after 900ms`,
			`200 {"o":1} partial after 200ms`, `200 {"o":1} partial after 200ms`, "499 after 100ms"}},
		{"MergeWith a function", func(_ *testing.T, p proxies) proxy.Proxy {
			return proxy.MergeWith(last, proxy.Part{Name: "f", Proxy: p.faulty}, proxy.Part{Name: "o", Proxy: p.other})
		}, [...]string{"502 after 0s", `200 {"o":1} after 500ms`, "504 after 1s", "500 after 0s", "502 after 0s",
			"499 after 100ms"}},
		{"Sequence, first", func(_ *testing.T, p proxies) proxy.Proxy {
			return proxy.Sequence(stage("f", p.faulty), stage("o", p.other))
		}, [...]string{"502 after 0s", `200 {"f":1,"o":1} after 700ms`, "504 after 1s", "500 after 0s", "502 after 0s",
			"499 after 100ms"}},
		{"Sequence, first and optional", func(_ *testing.T, p proxies) proxy.Proxy {
			first := stage("f", p.faulty)
			first.Optional = true
			return proxy.Sequence(first, stage("o", p.other))
		}, [...]string{`200 {"o":1} partial after 200ms`, `200 {"f":1,"o":1} after 700ms`, "504 after 1s",
			`200 {"o":1} partial after 200ms`, `200 {"o":1} partial after 200ms`, "499 after 100ms"}},
		{"Sequence, last", func(_ *testing.T, p proxies) proxy.Proxy {
			first := stage("o", p.other)
			first.Internal = true
			return proxy.Sequence(first, stage("f", p.faulty))
		}, [...]string{"502 after 200ms", `200 {"f":1} after 700ms`, "504 after 1s", "500 after 200ms", "200 stream after 200ms",
			"499 after 100ms"}},
		{"Switch", func(_ *testing.T, p proxies) proxy.Proxy {
			return proxy.Switch(proxy.Case{When: always, Proxy: p.faulty}, proxy.Case{Proxy: p.other})
		}, through},
		{"If", func(_ *testing.T, p proxies) proxy.Proxy { return proxy.If(always, p.faulty, p.other) },
			through},
		{"Split", func(_ *testing.T, p proxies) proxy.Proxy { return split(nil, p) },
			through},
		{"Split by key", func(_ *testing.T, p proxies) proxy.Proxy {
			return split(func(*proxy.Request) string { return "ada" }, p)
		}, through},
		{"Fallback", func(_ *testing.T, p proxies) proxy.Proxy { return proxy.Fallback(p.faulty, p.other) },
			[...]string{`200 {"o":1} after 200ms, 1 reported`, `200 {"f":1} after 500ms`, "504 after 1s",
				`200 {"o":1} after 200ms, 1 reported`, "200 stream after 0s", "499 after 100ms"}},
		{"Fallback, last", func(t *testing.T, p proxies) proxy.Proxy {
			return proxy.Fallback(fails(errors.New("down")), p.faulty)
		}, [...]string{"502 after 0s", `200 {"f":1} after 500ms, 1 reported`, "504 after 1s", "502 after 0s",
			"200 stream after 0s, 1 reported", "499 after 100ms"}},
		{"Race", func(_ *testing.T, p proxies) proxy.Proxy { return proxy.Race(p.faulty, p.other) },
			[...]string{`200 {"o":1} after 200ms`, `200 {"o":1} after 200ms`, `200 {"o":1} after 200ms`,
				`200 {"o":1} after 200ms, 1 reported`, "200 stream after 0s", "499 after 100ms"}},
		{"Race of one", func(_ *testing.T, p proxies) proxy.Proxy { return proxy.Race(p.faulty) },
			through},
		{"Shadow", func(t *testing.T, p proxies) proxy.Proxy { return shadow(t, p.faulty, p.other) },
			through},
		{"Shadow, in the mirror", func(t *testing.T, p proxies) proxy.Proxy { return shadow(t, p.other, p.faulty) },
			[...]string{`200 {"o":1} after 200ms, 1 reported`, `200 {"o":1} after 200ms`, `200 {"o":1} after 200ms, 1 reported`,
				`200 {"o":1} after 200ms, 1 reported`, `200 {"o":1} after 200ms`, "499 after 100ms, 1 reported"}},
		{"Static", func(_ *testing.T, p proxies) proxy.Proxy { return p.faulty.With(proxy.Static(proxy.Always, members)) },
			[...]string{`200 {"s":1} partial after 0s`, `200 {"f":1,"s":1} after 500ms`, "504 after 1s", "500 after 0s",
				"200 stream after 0s", "499 after 100ms"}},
		{"Swap", func(_ *testing.T, p proxies) proxy.Proxy { return proxy.NewSwap(p.faulty).Proxy() },
			through},
	}
	for _, tt := range tests {
		for fault, name := range [...]string{"fails", "is slow", "is deaf", "panics", "streams", "waits, and the client leaves"} {
			t.Run(tt.name+", "+name, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					end := make(chan struct{})
					faulty := proxytest.NewUpstream([...]proxytest.Reply{
						isFailing:   proxytest.Fail(errors.New("boom")),
						isSlow:      proxytest.Answer(200, `{"f":1}`).After(500 * time.Millisecond),
						isDeaf:      proxytest.Answer(200, "late").Stream().Deaf(end),
						isPanicking: proxytest.Panic("bug"),
						isStreaming: proxytest.Answer(200, "rows").Stream(),
						isLeaving:   proxytest.Hang(),
					}[fault], proxytest.Answer(500, "")) // otherwise it would be certain to stream, which is a fault
					other := proxytest.NewUpstream(proxytest.Answer(200, `{"o":1}`).After(200 * time.Millisecond))
					p := tt.make(t, proxies{faulty.Proxy(), other.Proxy()})
					assert.Equal(t, tt.want[fault], outcome(t, p, fault == isLeaving, end))
					faulty.AssertClosedOnce(t)
				})
			})
		}
	}
}

// outcome calls p as an endpoint does, and describes the outcome once everything it started has
// ended.
func outcome(t *testing.T, p proxy.Proxy, leaves bool, end chan struct{}) string {
	ctx, scope, reported := reports(t.Context())
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	if leaves {
		time.AfterFunc(100*time.Millisecond, cancel)
	}
	start := time.Now()
	res, err := proxy.Hold(0)(p)(ctx, get()) // Hold does nothing if p honours its context
	took := time.Since(start)
	text := fmt.Sprint(proxy.Status(res, err))
	if err == nil {
		if res.Body != nil {
			text += " stream"
		}
		if !res.Document.IsZero() {
			text += " " + res.Document.String()
		}
		if res.Err != nil {
			text += " partial"
		}
	}
	text += fmt.Sprintf(" after %v", took)
	assert.NoError(t, res.Close())
	<-time.After(time.Minute) // a shadow may still be running
	close(end)
	synctest.Wait()
	assert.Zero(t, scope.Abandoned(), "all came back")
	if n := len(reported); n > 0 {
		text += fmt.Sprintf(", %d reported", n)
	}
	return text
}

// If no function of a user sees a request, a leaf takes over the request and its maps. A combinator
// that calls a second leaf must have kept a copy.
//
// proves M33, C3
func TestACombinatorUsesNoRequestThatALeafHasTakenOver(t *testing.T) {
	t.Parallel()
	down := &proxy.Error{Status: 503, Err: errors.New("down")}
	var mu sync.Mutex // guards seen
	var seen []string
	leaf := func(name string, after time.Duration, err error) proxy.Proxy {
		call := func(ctx context.Context, req *proxy.Request) (*proxy.Response, error) {
			mu.Lock()
			seen = append(seen, fmt.Sprint(req.Method, req.Header, req.Query, req.Upstream, req.Params.Get("id")))
			mu.Unlock()
			assert.True(t, call.Described(ctx))
			clear(req.Header)
			clear(req.Query)
			clear(req.Upstream)
			req.Params.Set("id", name)
			req.Method, req.Header["B"], req.Upstream["B"] = "POST", []string{name}, nil
			<-time.After(after)
			return &proxy.Response{Document: asDocument(t, `{"`+name+`":1}`)}, err
		}
		return pipe.Describe(call, pipe.Step{Kind: "leaf", Name: name, Effects: pipe.Terminal | pipe.HonoursContext})
	}
	a, b, c := leaf("a", 0, down), leaf("b", time.Second, nil), leaf("c", 2*time.Second, nil)
	tests := []struct {
		name  string
		make  func(t *testing.T) proxy.Proxy
		calls int
	}{
		{"merge", func(*testing.T) proxy.Proxy {
			return proxy.Merge(proxy.Part{Proxy: a, Optional: true}, proxy.Part{Proxy: b}, proxy.Part{Proxy: c})
		}, 3},
		{"sequence", func(*testing.T) proxy.Proxy {
			return proxy.Sequence(proxy.Stage{Proxy: a, Optional: true}, proxy.Stage{Proxy: b, Internal: true},
				proxy.Stage{Proxy: c, Bind: []proxy.Binding{proxy.Bind("b", "b", "b")}})
		}, 3},
		{"fallback", func(*testing.T) proxy.Proxy { return proxy.Fallback(a, a, b) }, 3},
		{"race", func(*testing.T) proxy.Proxy { return proxy.Race(a, b, c) }, 3},
		{"shadow", func(t *testing.T) proxy.Proxy {
			return proxy.Fallback(a.With(newShadow(t, proxy.ShadowSpec{Mirror: proxy.Fallback(a, b)}).Decorate), c)
		}, 4},
		{"split and static", func(t *testing.T) proxy.Proxy {
			one := a.With(proxy.Static(proxy.OnSuccess, asDocument(t, `{}`)))
			return proxy.Fallback(proxy.Split(proxy.SplitSpec{Variants: []proxy.Variant{{Weight: 1, Proxy: one}}}), b)
		}, 2},
	}
	for _, tt := range tests {
		synctest.Test(t, func(t *testing.T) {
			seen = nil
			var scope call.Scope
			scope.Serve(new(pipe.Step)) // stands for a plan that only sluice has described
			req := get()
			req.Header["A"], req.Query["q"], req.Upstream["U"] = []string{"1", "2"}, []string{"x"}, []string{"u"}
			req.Params.Set("id", "7")
			res, err := tt.make(t)(scope.Context(t.Context()), req)
			require.NoError(t, err)
			assert.NoError(t, res.Close())
			<-time.After(time.Minute)
			synctest.Wait()
			assert.Equal(t, slices.Repeat([]string{"GETmap[A:[1 2]] map[q:[x]] map[U:[u]]7"}, tt.calls), seen, tt.name)
		})
	}
}
