package backend_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/backend"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/document"
)

// proves U6
func TestNewRefusesAWrongSpec(t *testing.T) {
	t.Parallel()
	ok := "http://h/{id}"
	tests := []struct {
		name string
		spec backend.Spec
		want string
	}{
		{"no url", backend.Spec{}, "url: it is empty"},
		{"scheme", backend.Spec{URL: "ftp://h/"}, `url: the scheme is "ftp"`},
		{"no scheme", backend.Spec{URL: "h:80/a"}, "url: "},
		{"relative", backend.Spec{URL: "/a"}, "url: the scheme"},
		{"no host", backend.Spec{URL: "http:///a"}, "url: there is no host"},
		{"port only", backend.Spec{URL: "http://:80/a"}, "url: there is no host"},
		{"opaque", backend.Spec{URL: "http:h"}, "url: there is no host"},
		{"port of letters", backend.Spec{URL: "http://h:x/"}, "url: invalid port"},
		{"port too large", backend.Spec{URL: "http://h:65536/"}, "url: the port"},
		{"port zero", backend.Spec{URL: "http://h:0/"}, "url: the port"},
		{"port empty", backend.Spec{URL: "http://h:/"}, "url: the port"},
		{"fragment", backend.Spec{URL: "http://h/a#b"}, "url: a fragment"},
		{"control byte", backend.Spec{URL: "http://h/a\nb"}, "url: "},
		{"bad escape", backend.Spec{URL: "http://h/%zz"}, "url: "},
		{"bad escape in the query", backend.Spec{URL: "http://h/?a=%zz"}, "url: the query"},
		{"semicolon in the query", backend.Spec{URL: "http://h/?a=1;b=2"}, "url: the query"},
		{"placeholder in the host", backend.Spec{URL: "http://{h}/"}, "url: "},
		{"placeholder in the port", backend.Spec{URL: "http://h:{p}/"}, "url: "},
		{"placeholder in the scheme", backend.Spec{URL: "{s}://h/"}, "url: "},
		{"placeholder as user", backend.Spec{URL: "http://{u}@h/"}, "url: "},
		{"placeholder in a query name", backend.Spec{URL: "http://h/?{a}=1"}, "url: the name of a query parameter"},
		{"placeholder over segments", backend.Spec{URL: "http://h/{a/b}"}, "url: an opening brace"},
		{"placeholder never closed", backend.Spec{URL: "http://h/{a"}, "url: an opening brace"},
		{"brace that closes nothing", backend.Spec{URL: "http://h/a}"}, "url: a closing brace"},
		{"placeholder without name", backend.Spec{URL: "http://h/{}"}, `url: "" is not the name`},
		{"placeholder with an odd name", backend.Spec{URL: "http://h/{a b}"}, `url: "a b" is not the name`},
		{"placeholder in a placeholder", backend.Spec{URL: "http://h/{{a}}"}, `url: "{a" is not the name`},
		{"rest as a part of a segment", backend.Spec{URL: "http://h/a-{*}"}, "url: {*} stands for whole segments"},
		{"rest in the query", backend.Spec{URL: "http://h/?a={*}"}, "url: {*} stands for segments"},
		{"dot segment", backend.Spec{URL: "http://h/a/../b"}, "url: a segment"},
		{"escaped dot segment", backend.Spec{URL: "http://h/a/%2e%2e/b"}, "url: a segment"},
		{"given without placeholder", backend.Spec{URL: ok, Given: []string{"account"}}, "given: the URL has no placeholder {account}"},
		{"method", backend.Spec{URL: ok, Method: "GE T"}, "method: "},
		{"method in lower case", backend.Spec{URL: ok, Method: "get"}, "method: "},
		{"connect", backend.Spec{URL: ok, Method: "CONNECT"}, "method: CONNECT"},
		{"host", backend.Spec{URL: ok, Host: "a b"}, "host: "},
		{"host with a line break", backend.Spec{URL: ok, Host: "a\r\nX: y"}, "host: "},
		{"header", backend.Spec{URL: ok, Headers: []string{"X Y"}}, "headers: "},
		{"header, empty", backend.Spec{URL: ok, Headers: []string{""}}, "headers: "},
		{"header taken back, bad name", backend.Spec{URL: ok, Headers: []string{"*", "-X Y"}}, "headers: "},
		{"header taken back from nothing", backend.Spec{URL: ok, Headers: []string{"-Cookie"}}, "headers: "},
		{"query, empty", backend.Spec{URL: ok, Query: []string{""}}, "query: "},
		{"query taken back from nothing", backend.Spec{URL: ok, Query: []string{"a", "-b"}}, "query: "},
		{"query that the URL has", backend.Spec{URL: "http://h/?a=1", Query: []string{"a"}}, "query: "},
		{"exposed validator", backend.Spec{URL: ok, Expose: []string{"etag"}}, "expose: Etag describes"},
		{"exposed date", backend.Spec{URL: ok, Expose: []string{"last-modified"}}, "expose: Last-Modified describes"},
		{"exposed ranges", backend.Spec{URL: ok, Expose: []string{"accept-ranges"}}, "expose: Accept-Ranges describes"},
		{"exposed digest", backend.Spec{URL: ok, Expose: []string{"digest"}}, "expose: Digest describes"},
		{"exposed digest of RFC 9530", backend.Spec{URL: ok, Expose: []string{"repr-digest"}}, "expose: Repr-Digest describes"},
		{"exposed wish for a digest", backend.Spec{URL: ok, Expose: []string{"want-digest"}}, "expose: Want-Digest describes"},
		{"exposed content type", backend.Spec{URL: ok, Expose: []string{"Content-Type"}}, "expose: Content-Type describes"},
		{"exposed hop-by-hop header", backend.Spec{URL: ok, Expose: []string{"connection"}}, "expose: Connection"},
		{"exposed length", backend.Spec{URL: ok, Expose: []string{"Content-Length"}}, "expose: Content-Length"},
		{"exposed star", backend.Spec{URL: ok, Expose: []string{"*"}}, "expose: "},
		{"exposed by a passthrough", backend.Spec{URL: ok, Decode: backend.Passthrough, Expose: []string{"A"}}, "expose: a passthrough"},
		{"statuses of a passthrough", backend.Spec{URL: ok, Decode: backend.Passthrough, Statuses: []int{200}}, "statuses: a passthrough"},
		{"a status mapped by a passthrough", backend.Spec{URL: ok, Decode: backend.Passthrough, MapStatus: map[int]int{404: 410}},
			"map status: a passthrough"},
		{"status below", backend.Spec{URL: ok, Statuses: []int{100}}, "statuses: 100"},
		{"status above", backend.Spec{URL: ok, Statuses: []int{1000}}, "statuses: 1000"},
		{"status not modified", backend.Spec{URL: ok, Statuses: []int{304}}, "statuses: 304"},
		{"status mapped to a success", backend.Spec{URL: ok, MapStatus: map[int]int{404: 200}}, "map status: 404 to 200"},
		{"status mapped from a success", backend.Spec{URL: ok, MapStatus: map[int]int{200: 404}}, "map status: 200 is a success"},
		{"unknown format", backend.Spec{URL: ok, Decode: backend.Format(9)}, "decode: there is no format 9"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tt.spec.Name = "users"
			p, err := backend.New(tt.spec)
			assert.Nil(t, p)
			assert.ErrorContains(t, err, "backend users: "+tt.want)
		})
	}
}

func TestABackendKeepsNothingOfItsSpec(t *testing.T) {
	t.Parallel()
	s := backend.Spec{URL: "http://h/{a}", Given: []string{"a"}, Headers: []string{"X-A"}, Query: []string{"a"}, Expose: []string{"X-A"},
		Statuses: []int{200}, MapStatus: map[int]int{404: 410}}
	up := &answers{body: "{}", header: http.Header{"X-A": {"1"}, "X-B": {"1"}}}
	p := newBackend(t, up, s)
	s.Given[0], s.Headers[0], s.Query[0], s.Expose[0] = "b", "X-B", "b", "X-B"
	s.Statuses[0], s.MapStatus[404] = 404, 400

	req := proxy.NewRequest("GET", "/")
	req.Params.Set("a", "1")
	req.Header = http.Header{"X-A": {"1"}, "X-B": {"1"}}
	req.Query = url.Values{"a": {"1"}, "b": {"1"}}
	res, err := p(t.Context(), req)
	require.NoError(t, err)
	assert.Equal(t, http.Header{"X-A": {"1"}}, res.Header)
	assert.Equal(t, "a=1", up.last.URL.RawQuery)
	assert.NotContains(t, up.last.Header, "X-B")
	assert.Empty(t, pipe.PlanOf(p).Needs)

	up.status = 404
	_, err = p(t.Context(), req)
	assert.Equal(t, 410, proxy.StatusOf(err))
}

func TestNewJoinsAllFaults(t *testing.T) {
	t.Parallel()
	_, err := backend.New(backend.Spec{Name: "a", URL: "ftp://h", Method: "x", Headers: []string{"?"}, Query: []string{""}, Expose: []string{"ETag"}})
	require.Error(t, err)
	assert.Len(t, strings.Split(err.Error(), "\n"), 5)
	assert.Error(t, pipe.PlanOf(pipe.Check(backend.New(backend.Spec{}))).Faults())
}

// proves H14
func TestNewShowsNoSecretOfTheURL(t *testing.T) {
	t.Parallel()
	_, err := backend.New(backend.Spec{Name: "a", URL: "http://user:pass@h:99999/%zz?token=abc"})
	require.Error(t, err)
	for _, secret := range []string{"pass", "abc"} {
		assert.NotContains(t, err.Error(), secret)
	}
	p := newBackend(t, &answers{}, backend.Spec{URL: "http://user:pass@h/a/{id}?token=abc&user={id}"})
	plan := pipe.PlanOf(p)
	assert.Equal(t, "http://h/a/{id}?token=…&user={id}", plan.Detail)
}

func TestThePlanOfABackendTellsWhatItDoes(t *testing.T) {
	t.Parallel()
	over := func(h backend.HTTP, s backend.Spec) *pipe.Step {
		return pipe.PlanOf(pipe.Check(h.New(s)))
	}
	ours := over(backend.HTTP{}, backend.Spec{Name: "users", Method: "GET", URL: "http://h/{id}/{*}?a={b}", Given: []string{"b"}})
	assert.Equal(t, "backend", ours.Kind)
	assert.Equal(t, "users", ours.Name)
	assert.Equal(t, "GET http://h/{id}/{*}?a={b}", ours.Detail)
	assert.Equal(t, []string{"id", "*"}, ours.Needs)
	assert.Equal(t, pipe.Terminal|pipe.Buffers|pipe.Idempotent|pipe.HonoursContext, ours.Effects)

	shared := over(backend.HTTP{Transport: backend.NewTransport()}, backend.Spec{URL: "http://h", Method: "POST", Decode: backend.Passthrough})
	assert.Equal(t, pipe.Terminal|pipe.Streams|pipe.NotIdempotent|pipe.HonoursContext, shared.Effects)

	theirs := over(backend.HTTP{Transport: &answers{}}, backend.Spec{URL: "http://h"})
	assert.Equal(t, pipe.Terminal|pipe.Buffers|pipe.Opaque, theirs.Effects)
	assert.False(t, theirs.HonoursContext(), "a transport of a user may ignore its context")

	statuses := over(backend.HTTP{}, backend.Spec{URL: "http://h/", Statuses: []int{200, 422}, MapStatus: map[int]int{409: 400, 404: 502}, PassErrors: true})
	assert.Equal(t, "http://h/, statuses [200 422], 404 → 502, 409 → 400, passes 4xx", statuses.Detail)

	changed := backend.NewTransport()
	changed.DialContext = nil
	dials := over(backend.HTTP{Transport: changed}, backend.Spec{URL: "http://h"})
	assert.Equal(t, pipe.Terminal|pipe.Buffers|pipe.Opaque, dials.Effects)
	assert.False(t, dials.HonoursContext())

	for _, says := range []prompt{true, false} {
		step := over(backend.HTTP{Transport: says}, backend.Spec{URL: "http://h"})
		assert.Equal(t, bool(says), step.Effects.Has(pipe.HonoursContext))
		assert.Equal(t, !bool(says), step.Effects.Has(pipe.Opaque))
	}

	decoder := over(backend.HTTP{}, backend.Spec{URL: "http://h", Decode: odd{}})
	assert.True(t, decoder.Effects.Has(pipe.Opaque))
	assert.False(t, decoder.HonoursContext(), "a decoder of a user may never return")
}

// The compiler may inline a small function that makes a factory, with its closures, into its
// caller. The frames of Decorate must still belong to sluice: the place of a step is the nearest
// frame outside sluice.
func TestThePlaceOfADecoratedBackendIsTheCallOfNew(t *testing.T) {
	t.Parallel()
	var functions []string
	f := backend.Decorate(backend.HTTP{}, func(backend.Spec) proxy.Decorator {
		var pcs [32]uintptr
		frames := runtime.CallersFrames(pcs[:runtime.Callers(1, pcs[:])])
		for more := true; more; {
			var frame runtime.Frame
			if frame, more = frames.Next(); strings.HasSuffix(frame.File, "/factory.go") {
				functions = append(functions, frame.Function)
			}
		}
		return nil
	})
	p, err := f.New(backend.Spec{URL: "http://h"})
	_, _, line, _ := runtime.Caller(0)
	require.NoError(t, err)
	assert.Equal(t, fmt.Sprintf("spec_test.go:%d", line-1), pipe.PlanOf(p).Source)
	require.NotEmpty(t, functions)
	for _, name := range functions {
		assert.True(t, strings.HasPrefix(name, "github.com/sluice-go/sluice/backend."), name)
	}
}

// A prompt is a transport that says whether it honours its context.
type prompt bool

func (prompt) RoundTrip(*http.Request) (*http.Response, error) { return nil, errors.New("not called") }
func (p prompt) HonoursContext() bool                          { return bool(p) }

// A planned is a transport that shows a step.
type planned struct {
	prompt
	plan func() pipe.Step
}

func (p planned) Plan() pipe.Step { return p.plan() }

func TestATransportShowsItsStepUnderTheLeaf(t *testing.T) {
	t.Parallel()
	shown := func(honours bool, step pipe.Step) *pipe.Step {
		plan := pipe.PlanOf(newBackend(t, planned{prompt(honours), func() pipe.Step { return step }}, backend.Spec{Method: "GET"}))
		require.Len(t, plan.Steps, 1)
		assert.Equal(t, honours, plan.HonoursContext())
		assert.True(t, plan.Effects.Has(pipe.Terminal|pipe.Idempotent))
		return plan.Steps[0]
	}
	inner := shown(true, pipe.Step{Kind: "pool", Name: "items", Detail: "p2c"})
	assert.Contains(t, inner.String(), "pool items (p2c)")
	assert.Equal(t, pipe.Terminal|pipe.HonoursContext|pipe.Custom, inner.Effects)
	inner = shown(false, pipe.Step{})
	assert.Equal(t, "transport", inner.Kind)
	assert.Equal(t, pipe.Terminal|pipe.Custom, inner.Effects)
}

// proves O20
func TestANilPointerAsTransportIsAFault(t *testing.T) {
	t.Parallel()
	_, err := backend.HTTP{Transport: (*planned)(nil)}.New(backend.Spec{Name: "up", URL: "http://h", Method: "get it"})
	for _, text := range []string{"backend up: transport: it is a nil pointer", "backend up: method"} {
		assert.ErrorContains(t, err, text)
	}
}

// proves O20
func TestAFaultInTheStepOfATransportIsOneOfTheLeaf(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		plan func() pipe.Step
		want string
	}{
		"a panic":    {func() pipe.Step { panic("no plan") }, "backend up: transport: panic: no plan"},
		"a nil step": {func() pipe.Step { return pipe.Step{Steps: []*pipe.Step{nil}} }, "backend up: transport: panic: runtime error"},
		"a fault": {func() pipe.Step { return pipe.Step{Kind: "pool", Err: errors.New("no hosts"), Source: "a.go:1"} },
			"backend up: transport: no hosts (a.go:1)"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := backend.HTTP{Transport: planned{true, tt.plan}}.New(backend.Spec{Name: "up", URL: "http://h"})
			assert.ErrorContains(t, err, tt.want)
		})
	}
}

// An odd is a decoder of a user that is not comparable.
type odd struct{ _ []int }

func (odd) Decode(string, []byte) (document.Document, error) { return document.Of("odd") }
func (odd) String() string                                   { return "odd" }

func TestDecorateMakesADecoratorPerUpstream(t *testing.T) {
	t.Parallel()
	var made []string
	note := func(name string) func(backend.Spec) proxy.Decorator {
		return func(s backend.Spec) proxy.Decorator {
			made = append(made, s.Name+" "+name)
			return pipe.Named(name, func(next proxy.Proxy) proxy.Proxy { return next })
		}
	}
	none := func(backend.Spec) proxy.Decorator { return nil }
	f := backend.Decorate(backend.HTTP{Transport: &answers{}}, note("outer"), nil, none, note("inner"))
	p, err := f.New(backend.Spec{Name: "a", URL: "http://a"})
	require.NoError(t, err)
	_, err = f.New(backend.Spec{Name: "b", URL: "http://b"})
	require.NoError(t, err)
	assert.Equal(t, []string{"a outer", "a inner", "b outer", "b inner"}, made)
	assert.NoError(t, pipe.PlanOf(p).Before("outer", "inner"))

	_, err = f.New(backend.Spec{Name: "c"})
	assert.ErrorContains(t, err, "backend c: url")
}

func TestDecorateNeedsAFactoryThatMakesProxies(t *testing.T) {
	t.Parallel()
	_, err := backend.Decorate(nil).New(backend.Spec{})
	assert.EqualError(t, err, "backend: Decorate: the factory is nil")
	_, err = backend.Decorate(nil, func(backend.Spec) proxy.Decorator { return nil }).New(backend.Spec{Name: "user"})
	assert.EqualError(t, err, "backend user: Decorate: the factory is nil")
	nothing := backend.FactoryFunc(func(backend.Spec) (proxy.Proxy, error) { return nil, nil })
	_, err = backend.Decorate(nothing).New(backend.Spec{Name: "user"})
	assert.EqualError(t, err, "backend user: Decorate: the factory returned a nil proxy")
	_, err = backend.Decorate(backend.FactoryFunc(nil)).New(backend.Spec{Name: "user"})
	assert.EqualError(t, err, "backend: FactoryFunc: the function is nil")
}
