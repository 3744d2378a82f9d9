package proxy_test

import (
	"context"
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/document"
)

func TestOriginIsDroppedWhereAnAnswerIsNotThatOfOneUpstream(t *testing.T) {
	t.Parallel()
	doc := asDocument(t, `{"a":1}`)
	upstream := proxy.Proxy(func(context.Context, *proxy.Request) (*proxy.Response, error) {
		return &proxy.Response{Document: doc, Origin: http.Header{"Etag": {`"1"`}}}, nil
	})
	always := func(context.Context, *proxy.Request) bool { return true }
	tests := []struct {
		name  string
		p     proxy.Proxy
		keeps bool
	}{
		{"merge", proxy.Merge(proxy.Part{Proxy: upstream}), false},
		{"merge with", proxy.MergeWith(proxy.Deep, proxy.Part{Name: "a", Proxy: upstream}, proxy.Part{Name: "b", Proxy: upstream}), false},
		{"sequence", proxy.Sequence(proxy.Stage{Name: "a", Proxy: upstream}, proxy.Stage{Name: "b", Proxy: upstream}), false},
		{"sequence, the last stage alone", proxy.Sequence(proxy.Stage{Name: "a", Proxy: upstream, Internal: true}, proxy.Stage{Name: "b", Proxy: upstream}), false},
		{"encode", proxy.Encode(proxy.Decode[map[string]int](upstream)), false},
		{"static", upstream.With(proxy.Static(proxy.Always, asDocument(t, `{"b":2}`))), true},
		{"if", proxy.If(always, upstream, upstream), true},
		{"fallback", proxy.Fallback(upstream, upstream), true},
		{"race", proxy.Race(upstream, upstream), true},
		{"hold", upstream.With(proxy.Hold(0)), true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			res, err := tt.p(t.Context(), proxy.NewRequest("GET", "/"))
			require.NoError(t, err)
			assert.Equal(t, tt.keeps, res.Origin != nil)
			assert.NotEqual(t, document.Document{}, res.Document)
		})
	}
}

// proves M15
func TestA304PassesOnlyWhereTheAnswerIsPassedOn(t *testing.T) {
	t.Parallel()
	full := says(t, `{"a":1}`)
	unchanged := proxy.Proxy(func(context.Context, *proxy.Request) (*proxy.Response, error) {
		return &proxy.Response{Status: http.StatusNotModified, Origin: http.Header{}}, nil
	})
	passes := map[string]proxy.Proxy{
		"static":                         unchanged.With(proxy.Static(proxy.Always, asDocument(t, `{"b":2}`))),
		"sequence, the last stage alone": proxy.Sequence(proxy.Stage{Name: "a", Proxy: full, Internal: true}, proxy.Stage{Name: "b", Proxy: unchanged}),
		"fallback":                       proxy.Fallback(unchanged, full),
	}
	for name, p := range passes {
		res, err := p(t.Context(), proxy.NewRequest("GET", "/"))
		require.NoError(t, err, name)
		assert.Equal(t, http.StatusNotModified, res.Status, name)
		assert.True(t, res.Document.IsZero(), name)
		assert.NotNil(t, res.Origin, name)
	}
	refuses := map[string]proxy.Proxy{
		"merge":           proxy.Merge(proxy.Part{Proxy: full}, proxy.Part{Proxy: unchanged}),
		"grouped":         proxy.Merge(proxy.Part{Proxy: full}, proxy.Grouped("g", unchanged)),
		"a stage":         proxy.Sequence(proxy.Stage{Name: "a", Proxy: unchanged}, proxy.Stage{Name: "b", Proxy: full}),
		"a stage, hidden": proxy.Sequence(proxy.Stage{Name: "a", Proxy: unchanged, Internal: true}, proxy.Stage{Name: "b", Proxy: full}),
	}
	for name, p := range refuses {
		_, err := p(t.Context(), proxy.NewRequest("GET", "/"))
		assert.ErrorIs(t, err, proxy.ErrNotModified, name)
		assert.Equal(t, http.StatusBadGateway, proxy.StatusOf(err), name)
	}
}
