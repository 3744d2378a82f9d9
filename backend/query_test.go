package backend_test

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/backend"
	"github.com/sluice-go/sluice/proxy"
)

// proves U1, L14, D1
func TestTheUpstreamGetsTheNamedQuery(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, raw string // as the client sent it
		allow     []string
		url       string
		want      string
	}{
		{"none by default", "a=1&b=2", nil, "http://h/", ""},
		{"the named", "a=1&b=2&a=3", []string{"c", "a"}, "http://h/", "a=1&a=3"},
		{"in the order of the list", "a=1&b=2", []string{"b", "a"}, "http://h/", "b=2&a=1"},
		{"names are exact", "A=1", []string{"a"}, "http://h/", ""},
		{"after the fixed", "a=1", []string{"a"}, "http://h/?x=1", "x=1&a=1"},
		{"escaped anew", "a=%26b%3D1+%C3%A9", []string{"a"}, "http://h/", "a=%26b%3D1+%C3%A9"},
		{"all, as sent", "b=2&a=1&b=%2f&c&d=", []string{"*"}, "http://h/", "b=2&a=1&b=%2f&c&d="},
		{"all, after the fixed", "b=2&a=1", []string{"*"}, "http://h/?x=1", "x=1&b=2&a=1"},
		{"all but one", "b=2&a=1&debug=1&c=3", []string{"*", "-debug"}, "http://h/", "a=1&b=2&c=3"},
		{"all, taking back what is not there", "b=2&a=1", []string{"-debug", "*"}, "http://h/", "b=2&a=1"},
		{"never what the URL has", "a=1&user=evil", []string{"*"}, "http://h/?user=7", "user=7&a=1"},
		{"never what the URL has, escaped", "a=1&us%65r=evil", []string{"*"}, "http://h/?user=7", "user=7&a=1"},
		{"without what was dropped", "a=1;b=2&c=3&d=%zz", []string{"*"}, "http://h/", "c=3"},
		{"rebuilt where bytes are odd", "a=\"<é>", []string{"*"}, "http://h/", "a=%22%3C%C3%A9%3E"},
		{"a long one, as sent", "b=2" + strings.Repeat("&a=1&c=3", 500), []string{"*"}, "http://h/", "b=2" + strings.Repeat("&a=1&c=3", 500)},
		{"with a hash in it", "a=1#b", []string{"*"}, "http://h/", "a=1%23b"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			up := &answers{body: "{}"}
			p := newBackend(t, up, backend.Spec{URL: tt.url, Query: tt.allow})
			req := proxy.NewRequest("GET", "/")
			req.RawQuery = tt.raw
			req.Query, _ = url.ParseQuery(tt.raw)
			_, err := p(t.Context(), req)
			require.NoError(t, err)
			assert.Equal(t, tt.want, up.last.URL.RawQuery)
		})
	}
}

// proves U1
func TestAQueryThatCodeChangedIsSentAsChanged(t *testing.T) {
	t.Parallel()
	up := &answers{body: "{}"}
	p := newBackend(t, up, backend.Spec{Query: []string{"*"}})
	for _, change := range []func(url.Values){
		func(q url.Values) { q.Set("a", "2") },
		func(q url.Values) { q.Add("a", "2") },
		func(q url.Values) { q.Set("b", "2") },
		func(q url.Values) { q.Del("a") },
		func(q url.Values) { q["a"] = []string{"1", "1"} },
	} {
		req := proxy.NewRequest("GET", "/")
		req.RawQuery = "z=1&a=1"
		req.Query, _ = url.ParseQuery(req.RawQuery)
		change(req.Query)
		_, err := p(t.Context(), req)
		require.NoError(t, err)
		assert.Equal(t, req.Query.Encode(), up.last.URL.RawQuery)
	}
}

// proves D1, U1
func TestAParameterThatCodeSendsReachesTheUpstreamUnnamed(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, raw string // as the client sent it
		query     []string
		url       string
		want      string
	}{
		{"no client has sent a query", "", nil, "http://h/", "account=a-1"},
		{"the client's value does not go", "account=evil&b=2", nil, "http://h/?x=1", "x=1&account=a-1"},
		{"after the named", "b=2", []string{"b"}, "http://h/", "b=2&account=a-1"},
		{"once, where it is named too", "account=evil&b=2", []string{"account", "b"}, "http://h/", "account=a-1&b=2"},
		{"among all", "z=2&account=evil", []string{"*"}, "http://h/", "account=a-1&z=2"},
		{"although the client's is taken back", "z=2&account=evil", []string{"*", "-account"}, "http://h/", "account=a-1&z=2"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			up := &answers{body: "{}"}
			p := newBackend(t, up, backend.Spec{URL: tt.url, Query: tt.query})
			req := proxy.NewRequest("GET", "/")
			req.RawQuery = tt.raw
			req.Query, _ = url.ParseQuery(tt.raw)
			req.Query.Set("account", "a-1")
			req.UpstreamQuery = []string{"account", "removed", "account"}
			_, err := p(t.Context(), req)
			require.NoError(t, err)
			assert.Equal(t, tt.want, up.last.URL.RawQuery)
		})
	}
}

// proves U1
func TestAParameterOfTheURLIsNotSentTwice(t *testing.T) {
	t.Parallel()
	for _, query := range [][]string{nil, {"*"}} {
		up := &answers{body: "{}"}
		p := newBackend(t, up, backend.Spec{Name: "orders", URL: "http://h/?account=guest", Query: query})
		req := proxy.NewRequest("GET", "/")
		req.Query.Set("account", "a-1")
		req.UpstreamQuery = []string{"account"}
		_, err := p(t.Context(), req)
		assert.EqualError(t, err, `backend orders: resolve: code sends the query parameter "account", and the URL has it too`)
		assert.Equal(t, 500, proxy.StatusOf(err))
		assert.Nil(t, up.last)
	}
}

// FuzzQuery checks that an upstream reads the same query that our code saw (HARDENING U1).
func FuzzQuery(f *testing.F) {
	for _, s := range []string{"a=1&b=2", "a=1;b=2", "c=%zz", "a&b=&=c&&", "x=1&x=2", "a=%26+ ", "é=\xff", "a#b=c"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		parsed, _ := url.ParseQuery(raw)
		up := &answers{body: "{}"}
		req := proxy.NewRequest("GET", "/")
		req.RawQuery, req.Query = raw, parsed
		_, err := newBackend(t, up, backend.Spec{URL: "http://h/?fixed=1", Query: []string{"*", "-b"}})(t.Context(), req)
		require.NoError(t, err)
		u, err := url.ParseRequestURI(up.last.URL.RequestURI())
		require.NoError(t, err)
		got, err := url.ParseQuery(u.RawQuery)
		require.NoError(t, err)
		want := url.Values{"fixed": {"1"}}
		for name, values := range parsed {
			if name != "b" && name != "fixed" {
				want[name] = values
			}
		}
		require.Equal(t, want, got)
	})
}

// proves T12
func TestAQueryOfManyValuesIsSentAsItCame(t *testing.T) {
	t.Parallel()
	for _, raw := range []string{
		strings.Repeat("a&", 512) + "a", strings.Repeat("a=1&b=2&", 4000) + "c", strings.Repeat("a=1&&a=2&", 100) + "a=%2f",
	} {
		up := &answers{body: `{}`}
		p := newBackend(t, up, backend.Spec{Query: []string{"*"}})
		req := proxy.NewRequest("GET", "/")
		req.RawQuery = raw
		req.Query, _ = url.ParseQuery(raw)
		_, err := p(t.Context(), req)
		require.NoError(t, err)
		assert.Equal(t, raw, up.last.URL.RawQuery)
	}
}

func BenchmarkQueryOfOneName(b *testing.B) {
	for _, n := range []int{512, 1024, 2048} { // twice the input, twice the time
		p := newBackend(b, &answers{body: `{}`}, backend.Spec{Query: []string{"*"}})
		raw := strings.Repeat("a&", n/2) + "a"
		query, _ := url.ParseQuery(raw)
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			for b.Loop() {
				req := proxy.NewRequest("GET", "/")
				req.RawQuery, req.Query = raw, query
				if _, err := p(b.Context(), req); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// proves T12, H1
func TestAnUpstreamsManyConnectionTokens(t *testing.T) {
	answer := func(n int) http.Header {
		h := http.Header{"Connection": {}}
		for i := range n {
			name := "X-" + strconv.Itoa(i)
			h["Connection"] = append(h["Connection"], name+", Other-"+strconv.Itoa(i))
			h[name] = []string{"1"}
		}
		return h
	}
	cost := func(n int) float64 {
		h := answer(n)
		p := newBackend(t, trip(func(*http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: 200, Header: h.Clone(), Body: http.NoBody}, nil
		}), backend.Spec{Decode: backend.Passthrough})
		return testing.AllocsPerRun(5, func() {
			res, err := p(t.Context(), proxy.NewRequest("GET", "/"))
			require.NoError(t, err)
			assert.Empty(t, res.Header)
			require.NoError(t, res.Close())
		})
	}
	assert.Less(t, cost(4096)/cost(2048), 2.2)
}
