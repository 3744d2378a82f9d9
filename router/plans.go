package router

import (
	"encoding/json"
	"errors"
	"net/http"

	"github.com/go-chi/chi/v5"

	"github.com/sluice-go/sluice/endpoint"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
)

// Plans returns a handler that answers with the current plan of a router, see [PlanOf]. The query
// parameter format is text (the default), json or mermaid; any other value is answered with 400.
//
// A plan shows the addresses of upstreams and the lines of your code: mount the handler on a
// listener for administrators.
func Plans(r chi.Routes) http.Handler { return plans{r} }

type plans struct{ routes chi.Routes }

var errFormat = errors.New("the format is not text, json or mermaid")

func (p plans) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	plan := PlanOf(p.routes)
	switch r.URL.Query().Get("format") {
	case "", "text":
		write(w, http.StatusOK, "text/plain; charset=utf-8", []byte(plan.String()))
	case "mermaid":
		write(w, http.StatusOK, "text/plain; charset=utf-8", []byte(plan.Mermaid()))
	case "json":
		body, err := json.Marshal(plan)
		if err != nil {
			endpoint.WriteProblem(w, r, &proxy.Error{Status: http.StatusInternalServerError, Op: "plan", Err: err})
			return
		}
		write(w, http.StatusOK, "application/json", body)
	default:
		endpoint.WriteProblem(w, r, &proxy.Error{Status: http.StatusBadRequest, Op: "plan", Err: errFormat})
	}
}

// Plan returns the step of the handler itself in the plan that it serves.
func (p plans) Plan() *pipe.Step {
	return &pipe.Step{Kind: "plans", Effects: pipe.Terminal | pipe.HonoursContext}
}

func write(w http.ResponseWriter, status int, contentType string, body []byte) {
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write(body) // the client may be gone
}
