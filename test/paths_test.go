package test_test

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/go-chi/chi/v5"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/backend"
	"github.com/sluice-go/sluice/endpoint"
	"github.com/sluice-go/sluice/router"
)

// pathRoutes are patterns, each with the path that its upstream gets.
var pathRoutes = []struct {
	outer, pattern, upstream string
	params                   []string
}{
	{"", "/admin/{id}", "/0/{id}", []string{"id"}},
	{"", "/{s}/{id}", "/1/{s}/{id}", []string{"s", "id"}},
	{"", "/u/{id}/x/{y}", "/2/{id}/{y}", []string{"id", "y"}},
	{"", "/f/*", "/3/{*}", []string{"*"}},
	{"", "/admin/f/*", "/4/{*}", []string{"*"}},
	{"", "/b@b", "/5", nil},
	{"/t/{tenant}", "/i/{id}", "/6/{tenant}/{id}", []string{"tenant", "id"}},
	{"/t/{tenant}", "/f/*", "/7/{tenant}/{*}", []string{"tenant", "*"}},
}

// pathPieces are the pieces from which paths are made. Some are two spellings of the same text.
var pathPieces = []string{"admin", "%61dmin", "adm%69n", "%2561dmin", "u", "%75", "f", "%66", "x", "t", "%74", "i", "b@b", "b%40b", "%62@b", "a", "b", "1",
	"%31", "%2F", "%2f", "%252F", "%25", "%00", "%0A", "%0d", ".", "..", "%2e", "%2E%2e", ".%2E", "%20", "+", ";", "%3B", "@", "%3F", "%23", "é", "%C3%A9",
	"%C3", "%ff", "~", "%7E", "*", "{id}", "%7Bid%7D", "!", "'", ":", "%zz", "%", "/", "//", "\\", "%5C"}

// pathSkeletons lead to routes, or nearly; empty segments are filled at random.
var pathSkeletons = [][]string{{"admin", ""}, {"", ""}, {"u", "", "x", ""}, {"f", "", ""}, {"f", ""}, {"admin", "f", "", ""}, {"b@b"}, {"t", "", "i", ""},
	{"t", "", "f", "", ""}, {"", "", ""}, {"", "", "", ""}, {"", "", "", "", ""}}

func randomPath(r *rand.Rand) string {
	var b strings.Builder
	for _, segment := range pathSkeletons[r.IntN(len(pathSkeletons))] {
		b.WriteByte('/')
		if segment == "" {
			for range r.IntN(3) {
				b.WriteString(pathPieces[r.IntN(len(pathPieces))])
			}
			continue
		}
		for i := range len(segment) {
			if r.IntN(8) == 0 {
				fmt.Fprintf(&b, "%%%02x", segment[i])
			} else {
				b.WriteByte(segment[i])
			}
		}
	}
	return b.String()
}

// onPathRouter puts each route on a router, nested as the route says.
func onPathRouter(r chi.Router, put func(r chi.Router, i int)) {
	for i, route := range pathRoutes {
		if route.outer == "" {
			put(r, i)
		}
	}
	r.Route("/t/{tenant}", func(r chi.Router) {
		for i, route := range pathRoutes {
			if route.outer != "" {
				put(r, i)
			}
		}
	})
}

// A pathTwin is a plain chi router with the same routes.
type pathTwin struct {
	mux   *chi.Mux
	route string // the upstream of the route; "" if no route matches
	path  string // the path that the upstream should get
}

func newPathTwin() *pathTwin {
	twin := &pathTwin{mux: chi.NewRouter()}
	onPathRouter(twin.mux, func(r chi.Router, i int) {
		route := pathRoutes[i]
		r.Get(route.pattern, func(_ http.ResponseWriter, r *http.Request) {
			twin.route, twin.path = route.upstream, route.upstream
			for _, name := range route.params {
				twin.path = strings.Replace(twin.path, "{"+name+"}", chi.URLParam(r, name), 1)
			}
		})
	})
	return twin
}

// finds returns the route for the path as it is spelled.
func (twin *pathTwin) finds(path string) string {
	twin.serve(path)
	return twin.route
}

// wants returns the route for segments, and the path that the upstream should get. It asks the twin
// for the path in its usual spelling, so that two spellings cannot count as two paths.
func (twin *pathTwin) wants(segments []string) (route string, want []string) {
	var usual []string
	for _, segment := range segments {
		text := url.PathEscape(segment)
		if segment == "b@b" {
			text = segment // as the pattern has it
		}
		usual = append(usual, text)
	}
	twin.serve(strings.Join(usual, "/"))
	for segment := range strings.SplitSeq(twin.path, "/") {
		text, _ := url.PathUnescape(segment)
		want = append(want, text)
	}
	return twin.route, want
}

func (twin *pathTwin) serve(path string) {
	twin.route, twin.path = "", ""
	r := httptest.NewRequest("GET", "/", nil)
	text, _ := url.PathUnescape(path)
	r.URL = &url.URL{Path: text, RawPath: path} // chi looks at RawPath alone
	twin.mux.ServeHTTP(httptest.NewRecorder(), r)
}

// The upstream gets the path that the router matched, however it is spelled. The segments of the
// path, each decoded once, take the route that they take on a plain chi router, and arrive.
// Otherwise the client gets 400 for a known reason, or 404 if chi has no route for that spelling.
//
// proves U2, U3, U4
func TestRouterAndUpstreamAgreeOnThePath(t *testing.T) {
	t.Parallel()
	rec, upstreams := serveLines(t)
	r := chi.NewRouter()
	onPathRouter(r, func(r chi.Router, i int) {
		route := pathRoutes[i]
		p, err := upstreams.New(backend.Spec{URL: "http://upstream" + route.upstream, Query: []string{"n"}})
		require.NoError(t, err)
		require.NoError(t, router.Mount(r, router.Route{Method: "GET", Pattern: route.pattern, Endpoint: endpoint.Spec{Proxy: p},
			Outer: []string{"tenant"}}))
	})
	gateway := serveWire(t, r)
	twin := newPathTwin()

	seed := rand.Uint64()
	random := rand.New(rand.NewPCG(seed, 0))
	counts := map[string]int{}
	cases := 5000
	if testing.Short() {
		cases = 500
	}
	for n := range cases {
		path := randomPath(random)
		segments, whole := decodeSegments(path)
		status, _ := ask(t, gateway, getText(path+"?n="+strconv.Itoa(n), ""))
		m := rec.take(t, n)
		about := fmt.Sprintf("seed %d, case %d: %s is %d", seed, n, path, status)
		if !whole {
			counts["not escaped"]++
			assert.Equal(t, 400, status, about)
			continue
		}
		route, want := twin.wants(segments)
		spelt := twin.finds(path)
		counts[strconv.Itoa(status)]++
		switch status {
		case 200:
			if assert.NotNil(t, m, about) {
				got, _ := m.target()
				for i := range got {
					got[i] = unescapePath(t, got[i])
				}
				assert.Equal(t, want, got, about)
			}
		case 404:
			assert.Nil(t, m, about)
			assert.True(t, route == "" || spelt == "", about)
		case 400:
			assert.Nil(t, m, about)
			assert.True(t, spelt != route || slices.ContainsFunc(segments, isRefused), about)
		default:
			assert.Fail(t, "an unexpected status", about)
		}
	}
	t.Log(counts)
	for _, status := range []string{"200", "400", "404"} {
		assert.NotZero(t, counts[status])
	}
}

// isRefused reports whether a segment is a reason to refuse a path.
func isRefused(segment string) bool { return segment == "" || !mayBeParam(segment) }

// decodeSegments decodes the segments of a path once, and reports whether that could be done.
func decodeSegments(path string) (segments []string, ok bool) {
	for segment := range strings.SplitSeq(path, "/") {
		text, err := url.PathUnescape(segment)
		if err != nil {
			return nil, false
		}
		segments = append(segments, text)
	}
	return segments, true
}
