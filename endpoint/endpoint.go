package endpoint

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"time"

	"github.com/sluice-go/sluice/internal/call"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
)

// The limits of an endpoint whose [Spec] says nothing.
const (
	DefaultTimeout      = 10 * time.Second // of the pipe
	DefaultReadTimeout  = 10 * time.Second // of the request body
	DefaultMaxBody      = 1 << 20          // of the request body, in bytes
	DefaultWriteTimeout = 30 * time.Second // of each write to the client
	DefaultIdleTimeout  = 60 * time.Second // of a stream in which nothing moves
)

// A Spec describes an endpoint. Only Proxy is required. For every limit, 0 is the default and a
// negative value is no limit.
type Spec struct {
	Name  string      // in the plan; "" shows the kind alone
	Proxy proxy.Proxy // what is called for each request

	// Guards decide whether a request may come in. They stand around Proxy, the first outermost, and run
	// before the request body is read: their request has the announced ContentLength and no Body. So a
	// refused client gets its answer before it sends a body, and without a 100 (Continue). When the last
	// guard calls next, the body is read or, with Stream, handed over; the plan shows a step "body" there.
	// nil guards are skipped.
	//
	// If a guard has a time limit of its own, such as policy.Timeout, the time for the body counts in it.
	//
	// A guard calls next once. New refuses a guard that may call it more often, such as policy.Retry, and
	// one that has to read the body or mirrors the request, such as a proxy.Shadow. A guard of your own
	// that calls next again gets [ErrCalledAgain].
	Guards []proxy.Decorator

	// Timeout is how long the guards and the pipe together may take until the pipe returns a response; 0 is
	// 10 s. Its clock starts when the request body has been read. If there are guards, it starts with them,
	// and stands still while the body is read. It holds even if the pipe ignores its context.
	// After it the client gets 504, and Report gets "endpoint: no answer in time (10s)" with the
	// error that the pipe returned; it wraps context.DeadlineExceeded.
	//
	// The clock stops when the pipe returns a stream, or, if that has a Content-Length, when its
	// first bytes have arrived, so that the stream may go on. With Stream, the time that an upload
	// takes counts until the upstream answers.
	Timeout time.Duration

	// ReadTimeout is how long the request body may take to arrive; 0 is 10 s. After it the client
	// gets
	// 504. With Stream it has no effect: IdleTimeout is the limit. If the ResponseWriter cannot set
	// deadlines, a client that sends nothing at all is not noticed.
	ReadTimeout time.Duration

	// MaxBody is how many bytes a request body may have, which is read into memory; 0 is 1 MiB.
	// Above it the client gets 413 before the pipe is called: at once if it announced the length.
	// With Stream, 0 is no limit.
	MaxBody int64

	// Stream hands the request body on as it comes, with its trailers, instead of reading it into
	// memory. It also passes on 1xx answers and lets the client change to another protocol (101). A
	// streamed answer does not need it.
	//
	// New refuses a pipe with a step that buffers, such as a decoded backend or shape.Request, or
	// that has to read the request body again, such as a Merge of several parts. It accepts a step
	// that may call again but need not: policy.Retry still retries requests without a body, and
	// never one with a body, which can be read only once; its error says so.
	//
	// If the ResponseWriter cannot flush or cannot set deadlines, a Stream endpoint answers 500 and
	// reports it. So a test needs a real server, as of httptest.NewServer: a ResponseRecorder has no
	// deadlines.
	Stream bool

	// WriteTimeout is how long the client may take to accept one write, of at most 256 KiB of a Document
	// and 32 KiB of anything else; 0 is 30 s. After it the connection ends: never earlier, and later by
	// a tenth of it, but at most a second.
	WriteTimeout time.Duration

	// IdleTimeout is how long a stream may be silent: a streamed answer, a streamed request body,
	// or a tunnel, which is silent if both directions are; 0 is 60 s. After it the connection ends; for
	// a request body that may be later by a tenth of it, but at most a second.
	IdleTimeout time.Duration

	// MaxAbandoned is how many calls of the pipe may still be running, in code that ignores its
	// context, after their time was over; 0 is [proxy.DefaultMaxAbandoned]. Above it requests are
	// refused with 503. See [proxy.Hold].
	MaxAbandoned int

	// CacheControl is the Cache-Control of a complete answer below 400 whose response has none; ""
	// sends none. A value without public, private, s-maxage or no-store is made private:
	// "max-age=60" is sent as "private, max-age=60". Partial answers and problems are always
	// no-store.
	//
	// New refuses a directive that is not one of an answer in RFC 9111, RFC 5861 or RFC 8246, is
	// there twice, or has no value that can be read: a cache would ignore it.
	CacheControl string

	// Encode are the formats that a Document is answered in: [JSON], [XML], [Text], a [Collection],
	// or an Encoder of your own. If it is empty, the format is JSON. JSON, or a single other
	// format, is sent whatever the client accepts.
	//
	// Of several formats the client's Accept chooses (RFC 9110, section 12.5.1), by its weights;
	// among those it likes equally, the first in Encode is sent. The most specific range that
	// matches a format counts, and parameters other than the weight are not compared. What cannot
	// be read of an Accept is skipped. Without an Accept, or if nothing of it can be read, the
	// client accepts anything. If it accepts none of the formats, it gets 406 before its body is
	// read and the pipe is called. With several formats every answer has Vary: Accept.
	//
	// Problems stay JSON, and a stream keeps its type: New refuses Encode over a pipe that is
	// certain to stream.
	Encode []Encoder

	// ETag gives a weak ETag to each complete answer of status 200 to GET or HEAD that has a Document. The
	// ETag is a hash of the bytes that the client would get, and of their type, so JSON and XML differ, and
	// all processes agree. A client whose If-None-Match has it, or is "*", gets 304 without a body (RFC
	// 9110, sections 13.1.2 and 15.4.5). The pipe is called all the same: only the transfer to the client
	// is saved. A 304 has the headers of the answer, except those of a payload.
	//
	// A partial answer has no ETag and is never a 304. If the response or a middleware has set an ETag, it
	// belongs to other bytes, and is dropped wherever a Document is sent. A streamed answer keeps its own
	// ETag, and If-None-Match has no effect on it. New refuses ETag over a pipe that is certain to stream.
	ETag bool

	// TrustedProxies are the networks of the proxies that are trusted to say who the client is; by
	// default none is. If the peer of the connection is in one of them, its X-Forwarded-*,
	// Forwarded and X-Real-Ip are kept, and it is appended to X-Forwarded-For and Forwarded.
	// Otherwise all these headers are dropped.
	//
	// Request.Remote is the first address, reading X-Forwarded-For from its end, that is in none of
	// the networks. Where an element is not an address, it and all before it are dropped. Forwarded
	// is not used for that: a proxy that writes one of the two headers passes on the other as the
	// client sent it.
	//
	// The address is RemoteAddr of the request. One without a port, as a middleware leaves it that
	// asks a header for the client, is the client's: it is Request.Remote, and never that of a
	// trusted proxy.
	//
	// If a middleware such as router.Client has decided who the client is, this field and TrustLocal have
	// no effect; see [WithClient].
	TrustedProxies []netip.Prefix

	// TrustLocal says that a peer without an address is such a proxy: whoever connects through a
	// Unix socket, or a listener in memory. false trusts none, and Request.Remote is not valid
	// then. A peer has no address if neither RemoteAddr nor the local address of its connection, as
	// net/http tells it ([http.LocalAddrContextKey]), is one of IP. Such a proxy is not in
	// X-Forwarded-For, and "unknown" in Forwarded.
	TrustLocal bool

	// RequestID returns the id of a request. nil takes the client's X-Request-Id. An id is
	// well-formed if it is 1 to 128 letters, digits and characters of "-._~+/=:@"; any other is
	// replaced by 128 random bits in hex. If the function panics, the client gets 500.
	//
	// The function [RequestID] returns the id to the pipe. It is also in each problem, and in the
	// header X-Request-Id of the proxy.Request, which an upstream gets if its Spec names it.
	RequestID func(r *http.Request) string

	// SendRequestID sends the id in the header X-Request-Id of every answer, also of a 101, in
	// place of one that the response or a middleware has set. false sends it with a problem only.
	SendRequestID bool

	// OmitCompleted leaves out X-Completed, which says whether an answer is partial. false sends it
	// but with 3xx. A partial answer is no-store either way.
	OmitCompleted bool

	// RenderError writes the answer to an error; nil is the hook of [WithRenderError] or, without
	// one, [WritePassed], which writes a problem unless the error is a failure that an upstream has
	// written for clients. It is called with a request whose context [RequestID] knows. If it panics
	// or writes nothing, the client gets the problem. WriteTimeout holds for what it writes, 32 KiB at
	// a time.
	RenderError func(w http.ResponseWriter, r *http.Request, err error)

	// Report gets every failure once: what the pipe returned, what a partial answer lacks, what
	// broke while reading or writing, and what failed in the background. A client that went away is
	// an error of status 499. It is called concurrently, and perhaps after the request was
	// answered. nil drops all failures, and a panic of its own is dropped too.
	//
	// It gets what was refused as well as what failed; [Refused] tells the two apart. What a partial
	// answer lacks is one error, which joins those of the parts, and no refusal. If proxy.Fallback
	// stood in for a proxy that failed, it gets the reason, in which errors.Is finds
	// proxy.ErrFallback; the client was answered.
	//
	// The context tells which request and route it was, and of a panic the error has the stack:
	//
	//	func report(ctx context.Context, err error) {
	//		log.Print(endpoint.RequestID(ctx), " ", endpoint.HTTPRequest(ctx).Pattern, ": ", err)
	//		if p, ok := errors.AsType[*pipe.PanicError](err); ok {
	//			log.Printf("%s", p.Stack)
	//		}
	//	}
	Report func(ctx context.Context, err error)

	// Watch hears of every step of a call: of the endpoint, whose request is the *http.Request and
	// whose response is the [proxy.Response] that the client got, and of all that the pipe shows in
	// its plan. Its Start is called before anything is read of the request; [HTTPRequest] and
	// [RequestID] know it. The step of the endpoint ends when the answer is written, also where it is
	// a stream. The zero Watch watches nothing.
	Watch pipe.Watch
}

// A Factory makes a handler of a Spec. That of this package is FactoryFunc([New]); one of your own
// can fill in what all your endpoints have in common.
type Factory interface {
	New(Spec) (http.Handler, error)
}

// FactoryFunc is a function that is a [Factory].
type FactoryFunc func(Spec) (http.Handler, error)

// New calls f. Of a nil f it is an error.
func (f FactoryFunc) New(s Spec) (http.Handler, error) {
	if f == nil {
		return nil, errors.New("endpoint: FactoryFunc: the function is nil")
	}
	return f(s)
}

// New returns the handler that s describes. The error joins everything that is wrong with s: no Proxy; a
// construction error anywhere in its plan (see [pipe.Check]); an invalid network or Cache-Control; a guard
// that may call the pipe several times or reads the request body; a step that decides by the caller outside
// the step that finds the caller; an Encoder that has a fault, no media type, or the media type of another
// Encoder; and with Stream a pipe that buffers or needs a request body twice. New cannot know whether the
// route has the params that the URLs of upstreams need. router.Mount checks that; without it, a call whose
// param is missing fails with 502.
//
// The handler is safe for concurrent use. It has three methods beside ServeHTTP:
//
//	Plan() *pipe.Step // the endpoint, with the plan of the pipe inside
//	Abandoned() int   // how many calls are still running whose client was answered without them
//
//	// Refuse answers with err as the endpoint would, without calling the pipe, for a router that does
//	// not let a request through.
//	Refuse(w http.ResponseWriter, r *http.Request, err error)
func New(s Spec) (http.Handler, error) {
	s = s.withLimits()
	var guarded, body proxy.Proxy
	if s.Proxy != nil {
		guarded, body = s.guarded()
	}
	if err := s.check(guarded, body); err != nil {
		return nil, err
	}
	return newHandler(s, guarded, pipe.Here()), nil
}

// withLimits returns s with the limits filled in: 0 is no limit.
func (s Spec) withLimits() Spec {
	s.Timeout = limit(s.Timeout, DefaultTimeout)
	s.ReadTimeout = limit(s.ReadTimeout, DefaultReadTimeout)
	s.WriteTimeout = limit(s.WriteTimeout, DefaultWriteTimeout)
	s.IdleTimeout = limit(s.IdleTimeout, DefaultIdleTimeout)
	maxBody := int64(DefaultMaxBody)
	if s.Stream {
		maxBody = 0
	}
	s.MaxBody = limit(s.MaxBody, maxBody)
	return s
}

// check returns what is wrong with s, joined. guarded and body are those of Spec.guarded.
func (s Spec) check(guarded, body proxy.Proxy) error {
	var errs []error
	fault := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf("endpoint: New%s: %w", inBrackets(s.Name), fmt.Errorf(format, args...)))
	}
	if s.Proxy == nil {
		fault("there is no Proxy")
	} else {
		plan := pipe.PlanOf(guarded)
		if body != nil {
			for _, text := range guardFaults(plan, pipe.PlanOf(body)) {
				fault("%s", text)
			}
		}
		if err := plan.Faults(); err != nil {
			errs = append(errs, err)
		}
		for _, text := range callerFaults(plan) {
			fault("%s", text)
		}
		if s.Stream {
			eachAnswering(plan, func(step *pipe.Step) {
				if why := unstreamable(step); why != "" {
					fault("Stream over %s, which %s", titleOf(step), why)
				}
			})
		}
	}
	for _, network := range s.TrustedProxies {
		if !network.IsValid() {
			fault("TrustedProxies has an invalid network")
		}
	}
	_, faults := formatsOf(s.Encode)
	for _, err := range faults {
		fault("%w", err)
	}
	if s.Proxy != nil && call.AlwaysStreams(pipe.PlanOf(guarded)) {
		if len(s.Encode) > 0 {
			fault("Encode over a pipe that streams: there is no document")
		}
		if s.ETag {
			fault("ETag over a pipe that streams: there is no document")
		}
	}
	for _, err := range faultsOfCacheControl(s.CacheControl) {
		fault("%w", err)
	}
	return errors.Join(errs...)
}

// eachAnswering calls f for the steps that the answer may come through: for all but mirrors.
func eachAnswering(step *pipe.Step, f func(*pipe.Step)) {
	if step.Effects.Has(pipe.Detached) {
		return
	}
	f(step)
	for _, inner := range step.Steps {
		eachAnswering(inner, f)
	}
}

// unstreamable returns why a Stream endpoint cannot have a step and what to do about it, or "".
func unstreamable(step *pipe.Step) string {
	buffers, replays := step.Effects.Has(pipe.Buffers), step.Effects.Has(pipe.NeedsReplay)
	why := ""
	switch {
	case buffers && !replays && step.Effects.Has(pipe.Terminal): // an upstream whose answer is decoded
		return "buffers its answer: use Decode: backend.Passthrough"
	case buffers && replays:
		why = "buffers whole bodies and has to read the request body again"
	case buffers:
		why = "buffers whole bodies"
	case replays:
		why = "has to read the request body again"
	default:
		return ""
	}
	return why + ": leave out Stream or the " + step.Kind
}

// titleOf returns a name that tells a step from others of its kind.
func titleOf(step *pipe.Step) string {
	if step.Name != "" {
		return step.Kind + " " + step.Name
	}
	return step.Kind + inBrackets(step.Detail)
}

func inBrackets(name string) string {
	if name == "" {
		return ""
	}
	return " (" + name + ")"
}

// limit returns the limit that a field of a Spec stands for; 0 is no limit.
func limit[T ~int | ~int64](field, standard T) T {
	switch {
	case field == 0:
		return standard
	case field < 0:
		return 0
	}
	return field
}
