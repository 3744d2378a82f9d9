package router

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/textproto"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/go-chi/chi/v5"

	"github.com/sluice-go/sluice/endpoint"
	"github.com/sluice-go/sluice/internal/field"
	"github.com/sluice-go/sluice/pipe"
)

// An AccessLogSpec says what [AccessLog] logs in addition to its usual attributes. The zero value logs
// every request, with the usual attributes only.
type AccessLogSpec struct {
	// Sample returns, for a status, which share of the requests is logged, from 0 for none to 1 for all;
	// nil logs all. Some requests are always logged, without asking Sample: one that failed with 500 or
	// more, one whose answer broke or is partial, and one whose handler panicked. If Sample panics, the
	// request is logged.
	//
	//	Sample: func(status int) float64 {
	//		if status < 400 {
	//			return 0.01
	//		}
	//		return 1
	//	}
	Sample func(status int) float64

	// Headers names the headers of the request that are logged, as header.Name; "Host" is the host of the
	// request. No other header is logged, so a credential is logged only if its header is named. An invalid
	// name is a fault in the plan.
	Headers []string

	// Query names the parameters of the query that are logged, as query.name.
	Query []string
}

// AccessLog returns a middleware that logs one line for each request when its handler has returned. This
// includes preflight requests, a 404, a refusal by a middleware inside, a stream that broke, and a
// connection that was taken over. It stands outside everything that refuses, and inside [Client].
//
// The message is "request". The level is Error from status 500 on, Warn if an answer below 400 broke or is
// partial or if the handler panicked, and Info otherwise. An attribute is left out if its value is not
// known:
//
//	method    of the request
//	path      of the URL, escaped, as it came; without the query
//	route     the pattern that matched
//	status    of the answer; 499 if the client left before it, 0 if none was sent
//	bytes     of the body of the answer, or of what went to the client after a 101
//	duration  from the first middleware to the last byte, a time.Duration: in slog's JSON nanoseconds
//	id        of the request; see endpoint.RequestID
//	client    its address, as endpoint.ClientOf has it
//	caller    its id, scheme and issuer, as endpoint.Identify has set it
//	error     why the request failed, or what a partial answer lacks
//
// Nothing else of a request is logged unless the Spec names it. In each text, characters that do not print
// are escaped as in Go, and what is beyond 2 KiB is left out. So whatever the handler of the logger does, a
// line stays one line, and carries no control sequence to a terminal.
//
// The logger gets the context of the request. It is called on the goroutine of the request, so a logger
// that blocks delays the end of the request. A panic in the logger is dropped. If the handler panics, that
// is logged, and the panic goes on. A nil logger is a fault in the plan.
func AccessLog(log *slog.Logger, s AccessLogSpec) func(http.Handler) http.Handler {
	l := &accessLog{log: log, spec: s}
	l.spec.Headers, l.spec.Query = slices.Clone(s.Headers), slices.Clone(s.Query)
	var faults []error
	if log == nil {
		faults = append(faults, errors.New("router: AccessLog: the logger is nil"))
	}
	for i, name := range l.spec.Headers {
		if !field.IsToken(name) {
			faults = append(faults, errors.New("router: AccessLog: "+strconv.Quote(name)+" is not the name of a header"))
		}
		l.spec.Headers[i] = textproto.CanonicalMIMEHeaderKey(name)
	}
	effects := pipe.Effects(0)
	if s.Sample != nil {
		effects = pipe.Opaque
	}
	return described(pipe.Step{Kind: "access-log", Acts: pipe.Both, Effects: effects, Detail: some(slices.Concat(l.spec.Headers, l.spec.Query))},
		faults, l.serve)
}

type accessLog struct {
	log  *slog.Logger
	spec AccessLogSpec
}

// A visitor is one request, as it was before anything inside could change it.
type visitor struct {
	r       *http.Request
	method  string
	path    string
	query   string
	host    string
	started time.Time
}

func (l *accessLog) serve(w http.ResponseWriter, r *http.Request, next http.Handler) {
	r, record := endpoint.WithRecord(r)
	v := visitor{r: r, method: r.Method, path: r.URL.EscapedPath(), query: r.URL.RawQuery, host: r.Host, started: time.Now()}
	res, w := witnessed(w)
	returned := false
	defer func() { l.write(&v, res, record.Entry(), returned) }() // a panic goes on: nothing recovers it
	next.ServeHTTP(w, r)
	returned = true
}

var errPanicked = errors.New("the handler has not returned")

// write logs a request.
func (l *accessLog) write(v *visitor, res *response, e endpoint.Entry, returned bool) {
	status, bytes := res.status, res.bytes
	switch {
	case res.taken:
		status, bytes = cmp.Or(e.Status, http.StatusSwitchingProtocols), bytes+e.Bytes
	case status == 0 && returned:
		status = http.StatusOK // net/http sends it
	}
	if !returned && e.Err == nil {
		e.Err = errPanicked
	}
	level := slog.LevelInfo
	switch {
	case status >= 500, status == 0:
		level = slog.LevelError
	case !returned, status < 400 && e.Err != nil:
		level = slog.LevelWarn
	}
	if level == slog.LevelInfo && !l.sampled(status) {
		return
	}
	defer func() { _ = recover() }() // of the handler of the logger
	ctx := v.r.Context()
	if !l.log.Enabled(ctx, level) {
		return
	}
	var room [16]slog.Attr
	attrs := append(room[:0], slog.String("method", printed(v.method)), slog.String("path", printed(v.path)))
	attrs = appendText(attrs, "route", cmp.Or(e.Route, routeOf(ctx)))
	attrs = append(attrs, slog.Int("status", status), slog.Int64("bytes", bytes), slog.Duration("duration", time.Since(v.started)))
	attrs = appendText(attrs, "id", cmp.Or(e.ID, idOf(v.r)))
	if e.Client.Scheme == "" {
		e.Client = endpoint.ClientOf(v.r)
	}
	if addr := e.Client.Addr.Addr(); addr.IsValid() {
		attrs = append(attrs, slog.String("client", addr.String()))
	}
	if e.Caller != nil {
		caller := appendText(nil, "id", e.Caller.ID)
		caller = appendText(caller, "scheme", e.Caller.Scheme)
		attrs = append(attrs, slog.GroupAttrs("caller", appendText(caller, "issuer", e.Caller.Issuer)...))
	}
	attrs = l.appendNamed(attrs, v)
	if e.Err != nil {
		attrs = appendText(attrs, "error", textOf(e.Err))
	}
	l.log.LogAttrs(ctx, level, "request", attrs...)
}

// sampled reports whether a request of a status is one of those that are logged.
func (l *accessLog) sampled(status int) (logged bool) {
	if l.spec.Sample == nil {
		return true
	}
	defer func() {
		if recover() != nil {
			logged = true
		}
	}()
	return !(rand.Float64() >= l.spec.Sample(status)) // so that NaN logs too
}

// appendNamed appends the headers and the parameters that the Spec names.
func (l *accessLog) appendNamed(attrs []slog.Attr, v *visitor) []slog.Attr {
	var group []slog.Attr
	for _, name := range l.spec.Headers {
		lines := v.r.Header[name]
		if name == "Host" {
			lines = []string{v.host}
		}
		group = appendText(group, name, strings.Join(lines, ", "))
	}
	if len(group) > 0 {
		attrs = append(attrs, slog.GroupAttrs("header", group...))
	}
	if len(l.spec.Query) == 0 || v.query == "" {
		return attrs
	}
	group = nil
	query := queryOf(v.query)
	for _, name := range l.spec.Query {
		group = appendText(group, name, strings.Join(query[name], ", "))
	}
	if len(group) > 0 {
		attrs = append(attrs, slog.GroupAttrs("query", group...))
	}
	return attrs
}

// appendText appends a text that is not empty.
func appendText(attrs []slog.Attr, key, text string) []slog.Attr {
	if text == "" {
		return attrs
	}
	return append(attrs, slog.String(key, printed(text)))
}

// routeOf returns the pattern that a router of chi has matched, for a handler that is no endpoint.
func routeOf(ctx context.Context) string {
	if route := chi.RouteContext(ctx); route != nil {
		return route.RoutePattern()
	}
	return ""
}

// idOf returns the id that a request came with, for an answer that knows none.
func idOf(r *http.Request) string {
	if ids := r.Header["X-Request-Id"]; len(ids) == 1 {
		return ids[0]
	}
	return ""
}

// textOf returns the text of an error, whose method may panic.
func textOf(err error) (text string) {
	defer func() {
		if v := recover(); v != nil {
			text = "the error has a method that panics"
		}
	}()
	return err.Error()
}

// maxText is how many bytes of a text are logged.
const maxText = 2 << 10

// printed returns a text of which all prints and that is not too long: what does not print is escaped
// as in Go.
func printed(s string) string {
	cut := ""
	if len(s) > maxText {
		s, cut = strings.ToValidUTF8(s[:maxText], ""), "…"
	}
	for i, r := range s {
		if !unicode.IsPrint(r) || r == utf8.RuneError {
			return s[:i] + escaped(s[i:]) + cut
		}
	}
	return s + cut
}

func escaped(s string) string {
	var b strings.Builder
	for s != "" {
		r, size := utf8.DecodeRuneInString(s)
		if quoted := strconv.Quote(s[:size]); unicode.IsPrint(r) && r != utf8.RuneError {
			b.WriteString(s[:size])
		} else {
			b.WriteString(quoted[1 : len(quoted)-1])
		}
		s = s[size:]
	}
	return b.String()
}
