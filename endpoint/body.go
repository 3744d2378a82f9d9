package endpoint

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"reflect"
	"strings"
	"time"

	"github.com/sluice-go/sluice/internal/call"
	"github.com/sluice-go/sluice/internal/field"
	"github.com/sluice-go/sluice/proxy"
)

var errTooLarge = errors.New("the request body is larger than MaxBody")

// receive takes the request body over, into req: into memory within a time, of which 0 is no limit, or
// as it comes for a Stream endpoint. After an error the caller hangs up.
func (x *exchange) receive(req *proxy.Request, limit time.Duration) error {
	r, w, spec := x.in, x.answer.w, &x.h.spec
	req.ContentLength = r.ContentLength
	if spec.Stream {
		x.offerStreaming(req)
	}
	if !hasBody(r) {
		req.ContentLength = 0
		return nil
	}
	if spec.MaxBody > 0 && r.ContentLength > spec.MaxBody {
		return tooLarge()
	}
	if spec.Stream {
		x.upload = &upload{request: r, body: r.Body, control: http.NewResponseController(w), call: &x.call,
			idle: patience{limit: spec.IdleTimeout}, limit: spec.MaxBody, reading: make(chan struct{}, 1)}
		req.Body, req.Trailer = x.upload, x.upload.trailer
		return x.upload.prepare(w)
	}
	req.Header.Del("Expect") // fulfilled here: the body is read before the pipe is called
	body, err := x.readBody(limit)
	if err != nil {
		return err
	}
	req.ContentLength = int64(len(body))
	if len(body) > 0 {
		req.GetBody = func() (io.ReadCloser, error) { return call.InMemory(body), nil }
		req.Body = call.InMemory(body)
	}
	return nil
}

func hasBody(r *http.Request) bool {
	return r.Body != nil && r.Body != http.NoBody && r.ContentLength != 0
}

func tooLarge() error {
	return &proxy.Error{Status: http.StatusRequestEntityTooLarge, Op: "body", Err: errTooLarge}
}

// readBody reads the body into memory within its size and time. A body that a middleware has made may
// block in Read whatever becomes of the connection; then it is left.
func (x *exchange) readBody(limit time.Duration) ([]byte, error) {
	r := x.in
	if isOfHTTP(r.Body) || limit <= 0 {
		return readBody(x.answer.w, r.Body, r.ContentLength, x.h.spec.MaxBody, limit)
	}
	ctx := call.After(x.h.scope.Context(&x.ctx), limit+interruptTime)
	defer ctx.Cancel()
	return readBody(x.answer.w, call.NewBody(ctx, nil, r.Body), r.ContentLength, x.h.spec.MaxBody, limit)
}

// isOfHTTP reports whether net/http made the body, so that its reads end with a deadline of the
// connection.
func isOfHTTP(body io.ReadCloser) bool {
	t := reflect.TypeOf(body)
	return t.Kind() == reflect.Pointer && strings.HasPrefix(t.Elem().PkgPath(), "net/http")
}

// readBody reads a body of the announced size into memory, within a size and a time for which 0 is no
// limit. The memory grows with what arrives, not with what was announced.
func readBody(w http.ResponseWriter, body io.ReadCloser, announced, limit int64, timeout time.Duration) ([]byte, error) {
	src := io.Reader(body)
	if limit > 0 {
		// Beyond the limit it makes net/http close the connection gently, so that the client gets
		// to read the answer.
		src = http.MaxBytesReader(w, body, limit)
	}
	var until time.Time
	if timeout > 0 {
		until = time.Now().Add(timeout)
		// net/http takes the deadline away at the end of the body.
		_ = http.NewResponseController(w).SetReadDeadline(until)
	}
	size := int64(firstRead)
	if announced >= 0 {
		size = min(size, announced)
	}
	b := make([]byte, 0, size+1) // one more, so that the end is seen without growing
	for {
		n, err := src.Read(b[len(b):cap(b)])
		b = b[:len(b)+n]
		switch {
		case err == io.EOF:
			return b, nil
		case err != nil:
			return nil, bodyError(err, "did not arrive within ReadTimeout", timeout)
		case !until.IsZero() && time.Now().After(until):
			return nil, bodyError(os.ErrDeadlineExceeded, "did not arrive within ReadTimeout", timeout)
		}
		if len(b) == cap(b) {
			b = append(b, 0)[:len(b)]
		}
	}
}

const firstRead = 16 << 10

// bodyError gives a failure of reading the client's body its status. If a deadline passed, and it
// was ours because limit is not 0, the error says what the body did.
func bodyError(err error, slow string, limit time.Duration) error {
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return tooLarge()
	}
	status := http.StatusBadRequest
	if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() {
		status = http.StatusGatewayTimeout
		if limit > 0 {
			err = fmt.Errorf("the request body %s (%v): %w", slow, limit, err)
		}
	}
	return &proxy.Error{Status: status, Op: "body", Err: err}
}

// hangUp ends the connection after the answer: what follows on it is not another request.
func hangUp(w http.ResponseWriter, r *http.Request) {
	if r.ProtoMajor == 1 {
		w.Header().Set("Connection", "close")
	}
	// What is left is drained by net/http, which must not wait for it long.
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(drainTime))
}

// drainTime is how long the rest of a request body that nobody wants may take.
const drainTime = 500 * time.Millisecond

// offerStreaming gives the request what only a Stream endpoint offers: trailers, another protocol,
// and informational answers.
func (x *exchange) offerStreaming(req *proxy.Request) {
	r := x.in
	if field.HasToken(r.Header["Te"], "trailers") {
		req.Header["Te"] = []string{"trailers"}
	}
	req.Upgrade = x.asked
	if r.ProtoAtLeast(1, 1) && len(r.Header["Expect"]) == 0 {
		req.Inform = x.inform // with Expect, net/http's own 100 may be on its way
	}
}
