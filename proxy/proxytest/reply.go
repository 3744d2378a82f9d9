package proxytest

import (
	"context"
	"fmt"
	"net/http"
	"runtime"
	"slices"
	"time"

	"github.com/sluice-go/sluice/proxy"
)

// A Reply is what an [Upstream] does with a call. [Answer], [Fail], [Hang], [Panic], [Goexit] and
// [Nothing] make one. Its methods return another one that does more:
//
//	proxytest.Answer(200, `{"id":1}`).Header("ETag", `"1"`).After(3*time.Second)
//
// A Reply is a value and may be used several times. The zero value is an empty answer with status
// 200.
type Reply struct {
	kind    kind
	status  int
	body    string
	err     error // of kindFail
	value   any   // of kindPanic
	header  http.Header
	trailer http.Header
	missing error // of a partial answer
	inform  []informed

	wait    time.Duration
	release <-chan struct{} // the reply is deaf until it is closed

	stream bool
	cut    bool // the body ends after n bytes
	n      int
	cutErr error
	stall  bool // after n bytes the body hangs until the context ends
}

type kind uint8

const (
	kindAnswer kind = iota
	kindFail
	kindHang
	kindPanic
	kindGoexit
	kindNothing
)

type informed struct {
	status int
	header http.Header
}

// Answer replies with a status and a body, which may be empty.
//
// A leaf returns what a backend makes of the answer. A body becomes the Document, and without a
// body there is none. A status of 400 or more is an error, a [*proxy.Error] with the answer in
// Upstream. Its own status is that of the answer if that is a 4xx, 503 or 504, and otherwise 502. A
// body that is not JSON is an error too. See [Reply.Stream] for an answer that is handed on as it
// is.
func Answer(status int, body string) Reply { return Reply{status: status, body: body} }

// Fail replies with an error and no answer. Over HTTP the connection breaks before there is an
// answer.
func Fail(err error) Reply { return Reply{kind: kindFail, err: err} }

// Hang never replies: the call ends when its context does, with the context's error.
func Hang() Reply { return Reply{kind: kindHang} }

// Panic panics with a value on the goroutine of the call.
func Panic(value any) Reply { return Reply{kind: kindPanic, value: value} }

// Goexit ends the goroutine of the call, as t.FailNow does in a test.
func Goexit() Reply { return Reply{kind: kindGoexit} }

// Nothing returns neither a response nor an error, which a proxy must never do. A handler answers
// 200 without a body.
func Nothing() Reply { return Reply{kind: kindNothing} }

// After delays the reply by d. If the context ends before that, the reply does not come.
func (r Reply) After(d time.Duration) Reply {
	r.wait = d
	return r
}

// Deaf delays the reply until release is closed, even if the context ends: it stands for a callee
// that ignores its context. The wait of After comes first and is deaf too.
func (r Reply) Deaf(release <-chan struct{}) Reply {
	r.release = release
	return r
}

// Header adds a header to the answer.
func (r Reply) Header(name, value string) Reply {
	r.header = added(r.header, name, value)
	return r
}

// Trailer adds a trailer to an answer that is a stream.
func (r Reply) Trailer(name, value string) Reply {
	r.trailer = added(r.trailer, name, value)
	return r
}

// Inform sends an informational answer (1xx) first, after those that the reply sends already. The
// pairs are the names and values of its headers.
func (r Reply) Inform(status int, pairs ...string) Reply {
	h := http.Header{}
	for pair := range slices.Chunk(pairs, 2) {
		h.Add(pair[0], pair[len(pair)-1])
	}
	r.inform = append(slices.Clip(r.inform), informed{status, h})
	return r
}

// Partial makes the answer of a leaf partial, with err in its Err.
func (r Reply) Partial(err error) Reply {
	r.missing = err
	return r
}

// Stream makes the answer of a leaf a stream, whatever its status. Its Body is a [*Body]. Over HTTP
// every answer is a stream.
func (r Reply) Stream() Reply {
	r.stream = true
	return r
}

// CutAfter ends the body after n bytes although more was announced. Reading on fails with err or,
// if err is nil, with [io.ErrUnexpectedEOF], as it does on a closed connection. Over HTTP the
// connection breaks, whatever err is. A leaf whose answer is not a stream fails with the error.
func (r Reply) CutAfter(n int, err error) Reply {
	r.cut, r.n, r.cutErr = true, n, err
	return r
}

// StallAfter makes the body hang after n bytes until the context ends.
func (r Reply) StallAfter(n int) Reply {
	r.stall, r.n = true, n
	return r
}

// Proxy returns a leaf that always gives this reply: the leaf of a [NewUpstream] with this reply
// alone, for a test that does not ask what the upstream saw.
func (r Reply) Proxy() proxy.Proxy { return NewUpstream(r).Proxy() }

// honours reports whether the call ends with its context, on the same goroutine and in the same way
// as the call of a backend.
func (r Reply) honours() bool {
	return r.release == nil && (r.kind == kindAnswer || r.kind == kindFail || r.kind == kindHang)
}

// begin does everything that comes before the answer.
func (r Reply) begin(ctx context.Context) error {
	if err := r.delay(ctx); err != nil {
		return err
	}
	switch r.kind {
	case kindFail:
		return r.err
	case kindHang:
		<-ctx.Done()
		return ctx.Err()
	case kindPanic:
		panic(r.value)
	case kindGoexit:
		runtime.Goexit()
	}
	return nil
}

func (r Reply) delay(ctx context.Context) error {
	ended := ctx.Done()
	if r.release != nil {
		ended = nil
	}
	if r.wait > 0 {
		timer := time.NewTimer(r.wait)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ended:
			return ctx.Err()
		}
	}
	if r.release != nil {
		<-r.release
		return nil
	}
	return ctx.Err()
}

// text returns the part of the body that can be read.
func (r Reply) text() string {
	if r.cut || r.stall {
		return r.body[:min(r.n, len(r.body))]
	}
	return r.body
}

func (r Reply) statusCode() int {
	if r.status == 0 {
		return http.StatusOK
	}
	return r.status
}

func added(h http.Header, name, value string) http.Header {
	if h = h.Clone(); h == nil {
		h = http.Header{}
	}
	h.Add(name, value)
	return h
}

// String returns the reply in a few words, for a plan.
func (r Reply) String() string {
	text := ""
	switch r.kind {
	case kindAnswer:
		text = fmt.Sprint(r.statusCode())
	case kindFail:
		text = "fails"
	case kindHang:
		text = "hangs"
	case kindPanic:
		text = "panics"
	case kindGoexit:
		text = "exits"
	case kindNothing:
		text = "nothing"
	}
	if r.wait > 0 {
		text += " after " + r.wait.String()
	}
	if r.release != nil {
		text += ", deaf"
	}
	return text
}
