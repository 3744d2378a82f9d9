package router

import (
	"errors"
	"net/http"
	"strings"

	"github.com/sluice-go/sluice/endpoint"
	"github.com/sluice-go/sluice/pipe"
)

// ErrPlain is why [HTTPS] refuses a request.
var ErrPlain = errors.New("the request did not come by https")

// HTTPS returns a middleware that serves only requests that came by https, as [endpoint.ClientOf] says. A
// GET or a HEAD by http is redirected (308, not to be cached) to the same host at the default port, with
// its path and query. Any other method is refused with 403; the error wraps [ErrPlain]. Its body and
// credentials have crossed the network in the clear, and a redirect would hide that.
//
// HTTPS stands inside [Client] if a proxy ends TLS, and inside [Hosts], which checks the host of the
// redirect. An invalid host is refused with 421.
func HTTPS() func(http.Handler) http.Handler {
	step := pipe.Step{Kind: "https", Acts: pipe.In, Effects: pipe.Validates}
	return described(step, nil, func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if endpoint.ClientOf(r).Scheme == "https" {
			next.ServeHTTP(w, r)
			return
		}
		host, _, ok := splitHost(r.Host)
		switch {
		case !ok:
			refuse(w, r, "https", http.StatusMisdirectedRequest, ErrHost)
		case r.Method != http.MethodGet && r.Method != http.MethodHead:
			refuse(w, r, "https", http.StatusForbidden, ErrPlain)
		default:
			w.Header()["Cache-Control"] = []string{"no-store"}
			http.Redirect(w, r, secureURL(host, r), http.StatusPermanentRedirect)
		}
	})
}

// secureURL returns where a request should have gone.
func secureURL(host string, r *http.Request) string {
	path := r.URL.EscapedPath()
	if !strings.HasPrefix(path, "/") {
		path = "/" + path
	}
	if r.URL.RawQuery != "" {
		path += "?" + r.URL.RawQuery
	}
	return "https://" + host + path
}
