package proxy_test

import (
	"context"
	"errors"
	"net/http"
	"reflect"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/internal/mark"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/policy"
	"github.com/sluice-go/sluice/proxy/shape"
)

// A sharing records which of the requests that a combinator makes have the maps of its own request.
type sharing struct {
	mu   sync.Mutex
	of   *proxy.Request
	maps []bool // for each call, whether all maps are those of the request
}

// leaf returns a proxy with a step that looks like sluice's own, but for what change changes in it.
func (s *sharing) leaf(t testing.TB, change func(*pipe.Step), err error) proxy.Proxy {
	step := pipe.Step{Mark: mark.Ours(), Kind: "leaf", Effects: pipe.Terminal | pipe.HonoursContext, Takes: []string{"Accept"}}
	if change != nil {
		change(&step)
	}
	return pipe.Describe(func(_ context.Context, req *proxy.Request) (*proxy.Response, error) {
		same := func(a, b any) bool { return reflect.ValueOf(a).Pointer() == reflect.ValueOf(b).Pointer() }
		s.mu.Lock()
		defer s.mu.Unlock()
		header, upstream, query := same(req.Header, s.of.Header), same(req.Upstream, s.of.Upstream), same(req.Query, s.of.Query)
		s.maps = append(s.maps, header && upstream && query)
		if !header || !upstream || !query {
			assert.False(t, header || upstream || query, "all maps are copied, or none")
		}
		return &proxy.Response{Document: asDocument(t, `{}`)}, err
	}, step)
}

// mappedRequest returns a request with something in each of its maps.
func mappedRequest() *proxy.Request {
	req := get()
	req.Header["A"], req.Header["Cookie"] = []string{"1", "2"}, []string{"c"}
	req.Query["q"], req.Upstream["B"] = []string{"1"}, []string{"3"}
	req.SetBody("application/json", []byte(`{"a":1}`))
	return req
}

// combined returns the combinators that copy requests, over a proxy that answers and one that fails.
func combined(p, failing proxy.Proxy) map[string]proxy.Proxy {
	return map[string]proxy.Proxy{
		"merge":           proxy.Merge(proxy.Part{Name: "a", Proxy: p}, proxy.Part{Name: "b", Proxy: p}),
		"merge of one":    proxy.Merge(proxy.Part{Proxy: p}),
		"sequence":        proxy.Sequence(proxy.Stage{Name: "a", Proxy: p}, proxy.Stage{Name: "b", Proxy: p}),
		"its last stage":  proxy.Sequence(proxy.Stage{Name: "a", Proxy: p, Internal: true}, proxy.Stage{Name: "b", Proxy: p}),
		"race":            proxy.Race(p, p),
		"fallback, 2nd":   proxy.Fallback(failing, p),
		"a merge of them": proxy.Merge(proxy.Part{Proxy: proxy.Merge(proxy.Part{Proxy: p})}),
	}
}

func TestProxiesThatOnlyReadShareTheMapsOfTheirRequest(t *testing.T) {
	t.Parallel()
	down := &proxy.Error{Status: http.StatusServiceUnavailable, Err: errors.New("down")}
	var s sharing
	for name, p := range combined(s.leaf(t, nil, nil), s.leaf(t, nil, down)) {
		s.of, s.maps = mappedRequest(), nil
		_, err := p(t.Context(), s.of)
		require.NoError(t, err, name)
		assert.NotContains(t, s.maps, false, name)
		assert.NotEmpty(t, s.maps, name)
	}
}

// proves M33
func TestProxiesThatMayWriteShareNoMap(t *testing.T) {
	t.Parallel()
	down := &proxy.Error{Status: http.StatusServiceUnavailable, Err: errors.New("down")}
	for name, tt := range map[string]struct {
		change func(*pipe.Step)
		around proxy.Decorator
	}{
		"code of a user":                 {change: func(s *pipe.Step) { s.Effects |= pipe.Opaque }},
		"a step that a user describes":   {change: func(s *pipe.Step) { s.Mark = mark.Mark{} }},
		"a call that may be abandoned":   {change: func(s *pipe.Step) { s.Effects &^= pipe.HonoursContext }},
		"a leaf that takes all headers":  {change: func(s *pipe.Step) { s.Takes = []string{"*", "-Cookie"} }},
		"a step that says that it wrote": {change: func(s *pipe.Step) { s.Effects |= pipe.WritesRequest }},
		"a header that is set":           {around: shape.SetHeader("A", "x")},
		"a header that is removed":       {around: shape.RemoveHeader("A")},
		"a parameter that is set":        {around: shape.SetQuery("q", "x")},
		"a parameter that is removed":    {around: shape.RemoveQuery("q")},
		"a deadline that is sent":        {around: policy.SendDeadline("X-Deadline-Ms")},
		"a body that is changed":         {around: shape.Request(shape.Keep("a"))},
	} {
		var s sharing
		p, failing := s.leaf(t, tt.change, nil).With(tt.around), s.leaf(t, tt.change, down).With(tt.around)
		for combinator, p := range combined(p, failing) {
			req := mappedRequest()
			s.of, s.maps = req, nil
			before := mappedRequest()
			_, err := p(t.Context(), req)
			require.NoError(t, err, name)
			if combinator != "fallback, 2nd" { // the first proxy has the request itself
				assert.NotContains(t, s.maps, true, "%s: %s", combinator, name)
				assert.Equal(t, before.Header, req.Header, "%s: %s", combinator, name)
				assert.Equal(t, before.Upstream, req.Upstream, "%s: %s", combinator, name)
				assert.Equal(t, before.Query, req.Query, "%s: %s", combinator, name)
			} else {
				assert.False(t, s.maps[len(s.maps)-1], "%s: %s", combinator, name)
			}
		}
	}
}

// A spectator watches every step, and sees its request.
type spectator struct{}

func (spectator) Enter(ctx context.Context, _ *pipe.Step, _ any) (context.Context, pipe.Watcher) {
	return ctx, spectator{}
}
func (spectator) Leave(any, error)    {}
func (spectator) Note(string, string) {}

func TestProxiesThatAreWatchedShareNoMap(t *testing.T) {
	t.Parallel()
	down := &proxy.Error{Status: http.StatusServiceUnavailable, Err: errors.New("down")}
	var s sharing
	for name, p := range combined(s.leaf(t, nil, nil), s.leaf(t, nil, down)) {
		s.of, s.maps = mappedRequest(), nil
		watch := pipe.Watch{Start: func(context.Context) pipe.Watcher { return spectator{} }}
		_, err := pipe.Watched(p, watch)(t.Context(), s.of)
		require.NoError(t, err, name)
		assert.False(t, s.maps[len(s.maps)-1], name)
	}
}
