package router_test

import (
	"net/http"
	"testing"

	"github.com/go-chi/chi/v5"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/router"
)

// chi keeps a mount at /sub in three places and lists only one: /sub and /sub/ are not among its
// routes.
//
// proves T6
func TestMountDoesNotReplaceTheRootOfWhatIsMounted(t *testing.T) {
	t.Parallel()
	theirs := func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) }
	root := func(r chi.Router) { r.Get("/", theirs) }
	rest := func(r chi.Router) { r.Get("/*", theirs) }
	deep := func(r chi.Router) { r.Route("/deep", root) }
	other := func(r chi.Router) { r.Get("/other", theirs) }
	sub := func(fill func(chi.Router)) http.Handler {
		r := chi.NewRouter()
		fill(r)
		return r
	}
	handler := http.HandlerFunc(theirs)
	tests := []struct {
		name    string
		at      string
		mounted http.Handler
		route   router.Route
		target  string
		want    string // of the error; "" if the route is free
	}{
		{"the root", "/sub", sub(root), route("GET", "/sub"), "/sub", "router: GET /sub: the router has GET /sub already, of what is mounted at /sub/*"},
		{"with a slash", "/sub", sub(root), route("GET", "/sub/"), "/sub/", "router: GET /sub/: the router has GET /sub/ already"},
		{"a route for every method", "/sub", sub(root), route("", "/sub"), "/sub", "router: /sub: the router has /sub already, of what is mounted at /sub/*"},
		{"the root is in a rest", "/sub", sub(rest), route("GET", "/sub"), "/sub", "already, of what is mounted at /sub/*"},
		{"the root is in a rest, with a slash", "/sub", sub(rest), route("GET", "/sub/"), "/sub/", "already, of what is mounted at /sub/*"},
		{"a router below a router", "/sub", sub(deep), route("GET", "/sub/deep"), "/sub/deep", "already, of what is mounted at /sub/deep/*"},
		{"a placeholder", "/t/{tenant}", sub(root), route("GET", "/t/{name}"), "/t/a", "router: GET /t/{name}: the router has GET /t/{tenant} already"},
		{"two placeholders", "/t/{a}-{b}/x", sub(root), route("GET", "/t/{c}-{d}/x"), "/t/a-b/x", "the router has GET /t/{a}-{b}/x already"},
		{"an expression", "/n/{n:[0-9]+}", sub(root), route("GET", "/n/{m:[0-9]+}"), "/n/1", "the router has GET /n/{n:[0-9]+} already"},
		{"a handler that is no router", "/sub", handler, route("POST", "/sub"), "/sub", "router: POST /sub: the router has POST /sub already, of what is mounted at /sub/*"},
		{"a handler that is no router, with a slash", "/sub", handler, route("GET", "/sub/"), "/sub/", "already, of what is mounted at /sub/*"},
		{"a handler that is no router below an expression", "/n/{n:[0-9]+}", handler, route("GET", "/n/{m:[0-9]+}"), "/n/1", "already, of what is mounted at"},

		{"a method that the root has not", "/sub", sub(root), route("POST", "/sub"), "/sub", ""},
		{"a router without a root", "/sub", sub(other), route("GET", "/sub"), "/sub", ""},
		{"the root of a router below is not the root", "/sub", sub(deep), route("GET", "/sub"), "/sub", ""},
		{"mounted with a slash, which leaves the one without free", "/sub/", sub(root), route("GET", "/sub"), "/sub", ""},
		{"a handler for the rest, which is not mounted", "", handler, route("GET", "/rest"), "/rest", ""},
		{"a handler for everything, around which routes grow", "/", handler, route("GET", "/"), "/", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := chi.NewRouter()
			r.Handle("/rest/*", handler)
			r.Handle("/n/{n:[0-9]+}/rest/*", handler)
			r.Get("/n/{n:[0-9]+}/get/*", theirs)
			if tt.at != "" {
				r.Mount(tt.at, tt.mounted)
			}
			before := walk(t, r)
			err := router.Mount(r, route("GET", "/fine"), tt.route, route("GET", "/n/{n:[0-9]+}/rest"))
			if tt.want == "" {
				require.NoError(t, err)
				assert.Equal(t, http.StatusOK, serve(t, r, tt.route.Method, tt.target).Code)
				return
			}
			require.ErrorContains(t, err, tt.want)
			assert.ElementsMatch(t, before, walk(t, r), "nothing is mounted")
			assert.Equal(t, http.StatusTeapot, serve(t, r, "GET", tt.target).Code, "theirs still answers")
		})
	}
}

func TestAGetRouteLeavesTheHeadOfWhatIsMounted(t *testing.T) {
	t.Parallel()
	r := chi.NewRouter()
	r.Route("/sub", func(r chi.Router) {
		r.Head("/", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) })
	})
	require.NoError(t, router.Mount(r, route("GET", "/sub")))
	assert.Equal(t, http.StatusOK, serve(t, r, "GET", "/sub").Code)
	assert.Equal(t, http.StatusTeapot, serve(t, r, "HEAD", "/sub").Code)
}
