package shape_test

import (
	"net/http"
	"net/url"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/backend"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/shape"
)

func TestQueryIsSetAndRemoved(t *testing.T) {
	t.Parallel()
	req := proxy.NewRequest("GET", "/")
	req.Query = url.Values{"page": {"1", "2"}, "Page": {"3"}, "debug": {"1", "2"}}
	got := through(t, pipe.Chain(shape.SetQuery("page", "a&b=c"), shape.RemoveQuery("debug"), shape.RemoveQuery("none")), req)
	assert.Equal(t, url.Values{"page": {"a&b=c"}, "Page": {"3"}}, got.Query)

	bare := &proxy.Request{Method: "GET"}
	got = through(t, pipe.Chain(shape.RemoveQuery("x"), shape.SetQuery("page", "1")), bare)
	assert.Equal(t, "1", got.Query.Get("page"), "also where somebody made a request by hand")

	d := shape.SetQuery("page", "1")
	through(t, d, client()).Query["page"][0] = "changed"
	assert.Equal(t, "1", through(t, d, client()).Query.Get("page"))
	for _, d := range []proxy.Decorator{shape.SetQuery("", "1"), shape.RemoveQuery("")} {
		assert.ErrorContains(t, pipe.PlanOf(answers(t, `{}`).With(d)).Faults(), "-query: the name is empty")
	}
}

// A parameter that the upstream's Spec does not name is not sent, whoever set it.
func TestASetQueryReachesOnlyUpstreamsThatNameIt(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		names []string
		want  string
	}{{nil, ""}, {[]string{"page"}, "page=a%26b%3Dc"}, {[]string{"*"}, "page=a%26b%3Dc&q=1"}} {
		var got string
		answer := roundTripper(func(r *http.Request) *http.Response {
			got = r.URL.RawQuery
			return &http.Response{StatusCode: 204, Header: http.Header{}, Body: http.NoBody}
		})
		p, err := backend.HTTP{Transport: answer}.New(backend.Spec{Name: "upstream", URL: "http://upstream.test/", Query: tt.names})
		require.NoError(t, err)
		req := proxy.NewRequest("GET", "/")
		req.RawQuery = "q=1&debug=2"
		req.Query = url.Values{"q": {"1"}, "debug": {"2"}}
		_, err = p.With(shape.SetQuery("page", "a&b=c"), shape.RemoveQuery("debug"))(t.Context(), req)
		require.NoError(t, err)
		assert.Equal(t, tt.want, got)
	}
}
