package router

import (
	"context"
	"net/http"

	"github.com/sluice-go/sluice/endpoint"
	"github.com/sluice-go/sluice/internal/call"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
)

// Recover returns a middleware that answers a panic with 500, by [endpoint.WriteError], and passes it to
// report as an error in which errors.AsType finds the [*pipe.PanicError] with its stack. It does the same
// if code ends the goroutine with [runtime.Goexit]. Endpoints recover by themselves, so Recover is for
// other handlers and middlewares.
//
// [http.ErrAbortHandler] goes on, as net/http requires. If the answer has begun, Recover panics with it, so
// that half an answer does not look like a whole one.
//
// report gets the context of the request, and may be called concurrently. A panic in report is dropped. A
// nil report reports nothing.
func Recover(report func(ctx context.Context, err error)) func(http.Handler) http.Handler {
	step := pipe.Step{Kind: "recover", Acts: pipe.Out, Effects: pipe.Recovers}
	return described(step, nil, func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		res, w := witnessed(w)
		returned := false
		defer func() {
			if returned {
				return
			}
			v := recover()
			if v == http.ErrAbortHandler {
				panic(v)
			}
			err := &proxy.Error{Status: http.StatusInternalServerError, Op: "recover", Err: call.PanicOf(v)}
			if report != nil {
				_ = call.Apart(func() error { report(r.Context(), err); return nil })
			}
			answerPanic(w, r, res, err, v == nil)
		}()
		next.ServeHTTP(w, r)
		returned = true
	})
}

// answerPanic answers a request whose handler has not returned. If its goroutine exits, net/http
// sends only what was flushed, and closes the connection.
func answerPanic(w http.ResponseWriter, r *http.Request, res *response, err error, exits bool) {
	if res.begun() {
		endpoint.RecordOf(r.Context()).Fail(err)
		panic(http.ErrAbortHandler)
	}
	if exits && r.ProtoMajor == 1 {
		w.Header().Set("Connection", "close")
	}
	endpoint.WriteError(w, r, err)
	if exits {
		_ = http.NewResponseController(w).Flush()
	}
}
