package test_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/time/rate"

	"github.com/sluice-go/sluice/backend"
	"github.com/sluice-go/sluice/endpoint"
	"github.com/sluice-go/sluice/endpoint/auth"
	"github.com/sluice-go/sluice/endpoint/check"
	"github.com/sluice-go/sluice/endpoint/idempotency"
	"github.com/sluice-go/sluice/internal/mark"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/document"
	"github.com/sluice-go/sluice/proxy/flow"
	"github.com/sluice-go/sluice/proxy/policy"
	"github.com/sluice-go/sluice/proxy/policy/cache"
	"github.com/sluice-go/sluice/proxy/shape"
)

// A lender is an upstream in memory that counts as sluice's own transport, so that its answers are
// read into memory that is lent. It keeps the memory that it was read into.
type lender struct {
	answer func(req *http.Request) ([]byte, error)

	mu   sync.Mutex
	read [][]byte // what was read into
}

func (l *lender) Mark() mark.Type { return mark.TypeOf[*lender]() }

func (l *lender) HonoursContext() bool { return true }

func (l *lender) RoundTrip(req *http.Request) (*http.Response, error) {
	body, err := l.answer(req)
	if err != nil {
		return nil, err
	}
	return &http.Response{StatusCode: http.StatusOK, ProtoMajor: 1, ProtoMinor: 1, Header: http.Header{"Content-Type": {"application/json"}},
		ContentLength: int64(len(body)), Body: &lenderBody{lender: l, r: bytes.NewReader(body)}, Request: req}, nil
}

type lenderBody struct {
	lender *lender
	r      *bytes.Reader
}

func (b *lenderBody) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	if n > 0 {
		b.lender.mu.Lock()
		b.lender.read = append(b.lender.read, p[:n])
		b.lender.mu.Unlock()
	}
	return n, err
}

func (b *lenderBody) Close() error { return nil }

// back returns how many of the reads were into memory that has gone back since.
func (l *lender) back() (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, b := range l.read {
		if b[0] == 0xFF {
			n++
		}
	}
	return n
}

// rows returns an answer of some size that no other has.
func rows(of string, n int) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, `{"of":%q,"rows":[0`, of)
	for i := range n {
		fmt.Fprintf(&b, `,{"id":%d,"of":%q}`, i, of)
	}
	b.WriteString("]}")
	return b.Bytes()
}

// leaf returns an upstream that answers with rows of the name.
func (l *lender) leaf(name string, change ...func(*backend.HTTP, *backend.Spec)) proxy.Proxy {
	h, s := backend.HTTP{Transport: l}, backend.Spec{Name: name, URL: "http://upstream.test/" + name}
	for _, f := range change {
		f(&h, &s)
	}
	return pipe.Check(h.New(s))
}

func newLender() *lender {
	return &lender{answer: func(req *http.Request) ([]byte, error) { return rows(req.URL.Path, 100), nil }}
}

// A lentPipe is a pipe and whether its endpoint lends.
type lentPipe struct {
	name string
	of   func(l *lender) endpoint.Spec
	not  string // why nothing is lent; "" if it is
}

// in returns the spec of an endpoint of a pipe.
func in(p func(l *lender) proxy.Proxy) func(l *lender) endpoint.Spec {
	return func(l *lender) endpoint.Spec { return endpoint.Spec{Proxy: p(l)} }
}

// with returns the spec of an endpoint of a leaf with a decorator.
func with(d proxy.Decorator) func(l *lender) endpoint.Spec {
	return in(func(l *lender) proxy.Proxy { return l.leaf("a").With(d) })
}

// noop is a user's decorator that says what it does.
func noop(effects pipe.Effects) proxy.Decorator {
	return func(next proxy.Proxy) proxy.Proxy {
		return pipe.Describe(func(ctx context.Context, req *proxy.Request) (*proxy.Response, error) { return next(ctx, req) },
			pipe.Step{Kind: "noop", Effects: pipe.CallsOnce | effects}, next)
	}
}

// plain is a user's decorator that says nothing.
func plain(next proxy.Proxy) proxy.Proxy {
	return func(ctx context.Context, req *proxy.Request) (*proxy.Response, error) { return next(ctx, req) }
}

// ownEncoder is an encoder of a user.
type ownEncoder struct{ endpoint.Format }

// ownDecoder is a decoder of a user.
type ownDecoder struct{ backend.Format }

// shadowOf returns a shadow that calls the mirror once.
func shadowOf(mirror proxy.Proxy) *proxy.Shadow {
	s, err := proxy.NewShadow(proxy.ShadowSpec{Mirror: mirror, Timeout: time.Minute})
	if err != nil {
		panic(err)
	}
	return s
}

func lentPipes() []lentPipe {
	merge := func(parts ...func(l *lender) proxy.Part) func(l *lender) endpoint.Spec {
		return in(func(l *lender) proxy.Proxy {
			all := []proxy.Part{proxy.Grouped("a", l.leaf("a"))}
			for _, part := range parts {
				all = append(all, part(l))
			}
			return proxy.Merge(all...)
		})
	}
	combined := func(combine proxy.Combine) func(l *lender) endpoint.Spec {
		return in(func(l *lender) proxy.Proxy {
			return proxy.MergeWith(combine, proxy.Grouped("a", l.leaf("a")), proxy.Grouped("b", l.leaf("b")))
		})
	}
	own := func(context.Context, proxy.Results) (document.Document, error) { return document.MustParse("{}"), nil }
	stages := func(second proxy.Stage) func(l *lender) endpoint.Spec {
		return in(func(l *lender) proxy.Proxy {
			second.Name, second.Proxy = "b", l.leaf("b")
			return proxy.Sequence(proxy.Stage{Name: "a", Proxy: l.leaf("a")}, second)
		})
	}
	code := func(context.Context, *proxy.Request) (*proxy.Response, error) { return nil, errors.New("code") }
	decoded := func(l *lender) pipe.Pipe[*proxy.Request, document.Document] {
		return proxy.Decode[document.Document](l.leaf("a"))
	}
	return []lentPipe{
		{"a backend", in(func(l *lender) proxy.Proxy { return l.leaf("a") }), ""},
		{"a merge", merge(func(l *lender) proxy.Part { return proxy.Grouped("b", l.leaf("b")) }), ""},
		{"a merge with an optional part", merge(func(l *lender) proxy.Part { return proxy.Optional(proxy.Part{Proxy: l.leaf("b")}) }), ""},
		{"a deep merge", combined(proxy.Deep), ""},
		{"a sequence", stages(proxy.Stage{Group: "b", Bind: []proxy.Binding{proxy.Bind("p", "a", "rows.0"), proxy.BindQuery("q", "a", "of"),
			proxy.BindBody("a", "rows")}}), ""},
		{"a fallback", in(func(l *lender) proxy.Proxy { return proxy.Fallback(l.leaf("a"), l.leaf("b")) }), ""},
		{"a race", in(func(l *lender) proxy.Proxy { return proxy.Race(l.leaf("a")) }), ""},
		{"a split", in(func(l *lender) proxy.Proxy {
			return proxy.Split(proxy.SplitSpec{Variants: []proxy.Variant{{Name: "v", Weight: 1, Proxy: l.leaf("a")}}})
		}), ""},
		{"a hedge", with(policy.Hedge(policy.HedgeSpec{Delay: time.Hour})), ""},
		{"policies", with(pipe.Chain(policy.Timeout(time.Minute), policy.Retry(policy.Attempts{}), policy.Limit(rate.NewLimiter(100, 100)),
			policy.InFlight(9), policy.Break(policy.NewBreaker(policy.BreakerSpec{})))), ""},
		{"shapes", with(shape.Response(shape.Keep("rows.*.id", "of"), shape.Group("x"), shape.Rename("x.of", "from"))), ""},
		{"static data", with(proxy.Static(proxy.Always, document.MustParse(`{"more":1}`))), ""},
		{"recovery and a name", with(pipe.Named[*proxy.Request, *proxy.Response]("it", pipe.Recover)), ""},
		{"a document that is decoded", in(func(l *lender) proxy.Proxy { return proxy.Encode(decoded(l)) }), ""},
		{"xml", func(l *lender) endpoint.Spec {
			return endpoint.Spec{Proxy: l.leaf("a"), Encode: []endpoint.Encoder{endpoint.XML}}
		}, ""},
		{"limits", with(pipe.Chain(policy.LimitBy(policy.ByClient, policy.PerSecond(100)), policy.Queue(policy.QueueSpec{InFlight: 9}),
			policy.Quota(policy.QuotaSpec{Key: policy.ByClient, Limit: 9, Window: policy.Day}), policy.Adaptive(policy.AdaptiveSpec{}),
			policy.SendDeadline("X-Deadline"), proxy.Hold(0))), ""},
		{"requests that are changed", with(pipe.Chain(shape.Body(`{"page":"{query.page?}"}`), shape.Request(shape.Set("a", 1)),
			shape.SetHeader("X-A", "a"), shape.SetQuery("q", "a"), proxy.Gives("p"))), ""},
		{"answers that are changed", with(pipe.Chain(shape.SetResponseHeader("X-A", "a"), shape.MapStatus(map[int]int{201: 200}),
			backend.ErrorAsData("error"), shape.RewriteLocation("http://a.test", "http://b.test"))), ""},
		{"guards", func(l *lender) endpoint.Spec {
			key := auth.APIKey{Digest: auth.DigestOf("secret"), Name: "ada", Roles: []string{"user"}}
			return endpoint.Spec{Proxy: l.leaf("a").With(auth.EndWithToken), Guards: []proxy.Decorator{auth.Public("a test"),
				check.ContentType("application/json"), check.Query(check.Param{Name: "page", Value: check.Int(1, 9)}),
				auth.Ask(l.leaf("judge")), auth.Require(auth.APIKeys(auth.NewKeys(key))), auth.Allow(auth.Role("user")),
				auth.Claims(auth.Claim{Path: "sub", Header: "X-User"})}}
		}, ""},
		{"code that borrows", with(noop(pipe.Borrows)), ""},
		{"opaque code that borrows", with(noop(pipe.Borrows | pipe.Opaque)), ""},

		{"a plain function", with(plain), "is code that may keep responses"},
		{"a plain function that got a name", with(pipe.Named("mine", proxy.Decorator(plain))), "mine"},
		{"code", with(noop(0)), "noop"},
		{"code that keeps", with(noop(pipe.Borrows | pipe.Keeps)), "noop"},
		{"an observer", with(pipe.Observe(func(context.Context, pipe.Observation[*proxy.Request, *proxy.Response]) {})), "observe"},
		{"a shadow", in(func(l *lender) proxy.Proxy {
			return l.leaf("a").With(shadowOf(l.leaf("b")).Decorate)
		}), "shadow"},
		{"a cache", with(cache.New(cache.Spec{}).Decorate), "cache"},
		{"a shared call", with(policy.Coalesce(policy.CoalesceSpec{})), "coalesce"},
		{"an idempotency key", func(l *lender) endpoint.Spec {
			return endpoint.Spec{Proxy: l.leaf("a").With(idempotency.Require(idempotency.NewMemory(0)))}
		}, "idempotency"},
		{"a Combine", combined(own), "merge"},
		{"a condition", stages(proxy.Stage{Group: "b", When: func(context.Context, *proxy.Request, proxy.Results) bool { return true }}), "stage b"},
		{"a Prepare", stages(proxy.Stage{Group: "b", Prepare: func(context.Context, *proxy.Request, proxy.Results) error { return nil }}), "prepare"},
		{"a fallback to code", in(func(l *lender) proxy.Proxy { return proxy.Fallback(l.leaf("a"), code) }), "code"},
		{"a switch", in(func(l *lender) proxy.Proxy {
			return proxy.If(func(context.Context, *proxy.Request) bool { return true }, l.leaf("a"), l.leaf("b"))
		}), "if"},
		{"a swap", in(func(l *lender) proxy.Proxy { return proxy.NewSwap(l.leaf("a")).Proxy() }), "swap"},
		{"an op of a user", with(shape.Response(func(_ context.Context, d document.Document) (document.Document, error) { return d, nil })), "code"},
		{"a typed op", with(shape.Response(shape.Typed(func(_ context.Context, v any) (any, error) { return v, nil }))), "typed"},
		{"a node of a flow", in(func(l *lender) proxy.Proxy {
			call := flow.Call("a", decoded(l))
			return proxy.Encode(flow.Join2(call, call, func(d, _ document.Document) (document.Document, error) { return d, nil }))
		}), "join"},
		{"a signature", in(func(l *lender) proxy.Proxy {
			return l.leaf("a", func(h *backend.HTTP, _ *backend.Spec) {
				h.Sign = func(context.Context, *http.Request) error { return nil }
			})
		}), "backend a"},
		{"a decoder of a user", in(func(l *lender) proxy.Proxy {
			return l.leaf("a", func(_ *backend.HTTP, s *backend.Spec) { s.Decode = ownDecoder{} })
		}), "backend a"},
		{"an encoder of a user", func(l *lender) endpoint.Spec {
			return endpoint.Spec{Proxy: l.leaf("a"), Encode: []endpoint.Encoder{ownEncoder{}}}
		}, "endpoint"},
		{"an ETag", func(l *lender) endpoint.Spec { return endpoint.Spec{Proxy: l.leaf("a"), ETag: true} }, "endpoint"},
		{"a guard of a user", func(l *lender) endpoint.Spec {
			return endpoint.Spec{Proxy: l.leaf("a"), Guards: []proxy.Decorator{plain}}
		}, "code"},
	}
}

// proves T30
func TestOnlyWhereNobodyKeepsAResponseIsItsMemoryLent(t *testing.T) {
	for _, tt := range lentPipes() { // not parallel: others must not borrow what it looks at
		t.Run(tt.name, func(t *testing.T) {
			l := newLender()
			h, err := endpoint.New(tt.of(l))
			require.NoError(t, err)
			why := h.(interface{ Plan() *pipe.Step }).Plan().Lends()
			req := httptest.NewRequest("GET", "/", nil)
			req.Header.Set("Idempotency-Key", `"1"`)
			req.Header.Set("X-Api-Key", "secret")
			w := httptest.NewRecorder()
			h.ServeHTTP(w, req)
			if assert.Equal(t, http.StatusOK, w.Code, w.Body); tt.not != "" {
				require.ErrorContains(t, why, tt.not)
				assert.Zero(t, l.back())
				return
			}
			require.NoError(t, why)
			assert.NotZero(t, l.back())
			assert.NotContains(t, w.Body.String(), "\xff")
		})
	}
}

// notLent are the steps that carry mark.Borrows and stand in no pipe of lentPipes that lends, with the
// reason.
var notLent = map[string]string{
	"agent":         "agents lend nothing",
	"count-tries":   "of a test kit",
	"flow":          "the functions of a flow are a user's",
	"handler":       "stands around endpoints",
	"jsonschema":    "of a module of its own; sees requests only",
	"jwt":           "of a module of its own; sees requests only",
	"next":          "of a test kit",
	"path":          "stands around endpoints",
	"pool":          "has transports of its own; sees no documents",
	"prepare":       "a user's function",
	"publish":       "has no answer but 202",
	"record":        "of a test kit",
	"param":         "the key of a limit; sees requests only",
	"swap":          "opaque, because what is held may be replaced",
	"take-deadline": "a user's function",
	"typed":         "a user's function",
	"upstream":      "of a test kit",
}

// Whoever gives a step the mark has read its code. A pipe of lentPipes that lends must have the step, so
// that it runs while what was lent is overwritten.
//
// proves T30
func TestEveryStepThatIsSaidToBorrowIsHeldToIt(t *testing.T) {
	t.Parallel()
	lent := map[string]bool{}
	for _, tt := range lentPipes() {
		if tt.not != "" {
			continue
		}
		h, err := endpoint.New(tt.of(newLender()))
		require.NoError(t, err)
		for step := range h.(interface{ Plan() *pipe.Step }).Plan().All() {
			lent[step.Kind] = true
		}
	}
	marked := regexp.MustCompile(`mark\.Borrows\(\), Kind: "([^"]+)"`)
	found := map[string]bool{}
	for _, path := range goFiles(t) {
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		for _, m := range marked.FindAllStringSubmatch(string(text), -1) {
			kind := m[1]
			found[kind] = true
			if why := notLent[kind]; lent[kind] == (why != "") {
				t.Errorf("%s: the step %q carries mark.Borrows: give it a pipe in lentPipes, or a reason in notLent (%q)", path, kind, why)
			}
		}
	}
	for kind := range notLent {
		assert.True(t, found[kind], kind)
	}
}

// goFiles returns the Go files of the repository that are no tests.
func goFiles(t *testing.T) (paths []string) {
	t.Helper()
	require.NoError(t, filepath.WalkDir("..", func(path string, _ fs.DirEntry, err error) error {
		if strings.HasSuffix(path, ".go") && !strings.HasSuffix(path, "_test.go") {
			paths = append(paths, path)
		}
		return err
	}))
	return paths
}
