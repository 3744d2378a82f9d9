package policy

import (
	"context"
	"errors"
	"io"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/sluice-go/sluice/internal/call"
	"github.com/sluice-go/sluice/internal/mark"
	"github.com/sluice-go/sluice/proxy"
)

// Undecided reports whether an error says nothing about the upstream: the caller of the call is
// gone or no longer needs it, sluice has refused the call, or the request could not be sent. It is
// the IsExcluded of a gobreaker that is given to [Break].
func Undecided(err error) bool {
	if err == nil {
		return false
	}
	if _, ok := errors.AsType[*undecidedError](err); ok {
		return true
	}
	return uncalled(err) || proxy.StatusOf(err) == proxy.StatusClientGone
}

// uncalled reports whether an error says that the upstream was not called.
func uncalled(err error) bool {
	for { // why there was no further try is not why the last one failed
		tries, ok := errors.AsType[*triesError](err)
		if !ok {
			return ours(err) || unsent(err)
		}
		err = tries.err
	}
}

// An undecidedError is the error of a call that Undecided could not judge by itself.
type undecidedError struct{ err error }

func (e *undecidedError) Error() string { return "undecided: " + e.err.Error() }

func (e *undecidedError) Unwrap() error { return e.err }

// failed reports whether a call has failed: with an error that is no answer, or with a stream whose
// status says so.
func failed(res *proxy.Response, err error) bool {
	if err == nil {
		return open(res) && res.StatusCode() >= http.StatusInternalServerError
	}
	status := proxy.StatusOf(err)
	for e := range errorsIn(err) {
		if status == http.StatusBadGateway && e.Upstream != nil {
			status = e.Upstream.Status // more exact: 502 also stands for a 401
		}
	}
	return status < http.StatusBadRequest || status >= http.StatusInternalServerError || status == proxy.StatusClientGone
}

// verdict returns what a breaker is told about a call: nil for a success, and an error that is
// Undecided if the call says nothing.
func verdict(ctx context.Context, res *proxy.Response, err error) error {
	switch {
	case err == nil && failed(res, nil):
		return &proxy.Error{Status: http.StatusBadGateway, Op: "status",
			Upstream: &proxy.UpstreamAnswer{Status: res.StatusCode(), Header: res.Header}}
	case err == nil:
		return nil
	case errors.Is(ctx.Err(), context.Canceled):
		return &undecidedError{err}
	case uncalled(err):
		return err
	case errors.Is(err, proxy.ErrNotModified), !failed(res, err): // code has asked for the first
		return nil
	case Undecided(err): // other code has cancelled the call, or its deadline has
		return &proxy.Error{Status: http.StatusBadGateway, Op: "break", Err: err}
	}
	return err
}

// A judgement tells a breaker once what became of a call.
type judgement struct {
	ctx    context.Context
	permit permit
	told   atomic.Bool
}

func (j *judgement) tell(err error, took time.Duration) {
	if j.told.CompareAndSwap(false, true) {
		j.permit.tell(j.ctx, err, took, time.Since(j.permit.start))
	}
}

// ended judges a call whose context has ended before it has returned.
func (j *judgement) ended() {
	j.tell(verdict(j.ctx, nil, j.ctx.Err()), time.Since(j.permit.start))
}

// flowTime is how long a stream flows at most before it is judged.
const flowTime = 5 * time.Second

// flows reports whether a response can be judged only while it is read.
func flows(res *proxy.Response) bool {
	return res.Body != nil && res.Body != http.NoBody && res.Upgrade == nil && res.StatusCode() < http.StatusInternalServerError
}

// follow judges a stream, which took some time to begin, by what is read from it.
func (j *judgement) follow(res *proxy.Response, took time.Duration) {
	f := &flow{body: res.Body, judgement: j, took: took}
	res.Body = f
	timer := time.AfterFunc(flowTime, func() {
		if f.some.Load() {
			f.tell(nil)
			return
		}
		f.tell(&undecidedError{errIdle})
	})
	res.OnClose(func() {
		timer.Stop()
		f.tell(&undecidedError{errUnread})
	})
}

var (
	errIdle   = errors.New("nothing of the stream was read")
	errUnread = errors.New("the stream was not read to its end")
	errBroken = errors.New("reading the stream ended in a panic")
)

// A flow is the body of a stream that is judged while it is read.
type flow struct {
	body      io.ReadCloser
	judgement *judgement
	took      time.Duration // until the header
	some      atomic.Bool   // something was read
}

func (f *flow) tell(err error) { f.judgement.tell(err, f.took) }

// Read reads from the body, and judges the call when it has ended.
func (f *flow) Read(p []byte) (int, error) {
	returned := false
	defer func() {
		if !returned {
			f.tell(errBroken)
		}
	}()
	n, err := f.body.Read(p)
	returned = true
	if n > 0 && !f.some.Load() {
		f.some.Store(true)
	}
	switch {
	case err == nil:
	case err == io.EOF:
		f.tell(nil)
	default:
		f.tell(broken(f.judgement.ctx, err))
	}
	return n, err
}

// broken returns what a breaker is told about a stream that broke with err.
func broken(ctx context.Context, err error) error {
	if err = call.Sound(err); errors.Is(ctx.Err(), context.Canceled) {
		return &undecidedError{err}
	}
	return &proxy.Error{Status: http.StatusBadGateway, Op: "read", Err: err}
}

// Close closes the body.
func (f *flow) Close() error { return f.body.Close() }

// Mark says that no code of a user runs in it, if that is so for the body.
func (f *flow) Mark() mark.Type {
	if !call.GuardsItself(f.body) {
		return mark.Type{}
	}
	return mark.TypeOf[*flow]()
}
