package async

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/sluice-go/sluice/internal/call"
	"github.com/sluice-go/sluice/internal/field"
	"github.com/sluice-go/sluice/proxy"
)

// prepare turns the request of a message into one for the pipe, in place.
func (a *Agent) prepare(req *proxy.Request) error {
	if req.Method == "" {
		req.Method = http.MethodPost
	}
	req.Path = escaped(req.Path)
	req.Header = clean(req.Header)
	req.Trailer, req.Upgrade, req.Inform = nil, "", nil // they belong to a connection
	if err := a.checkParams(&req.Params); err != nil {
		return &proxy.Error{Status: http.StatusBadRequest, Op: "message", Err: err}
	}
	return load(req, a.maxBody)
}

// escaped returns the escaped form of a path, which may be escaped already.
func escaped(path string) string {
	if !strings.HasPrefix(path, "/") {
		path = "/" + path
	}
	plain, err := url.PathUnescape(path)
	if err != nil {
		plain = path
	}
	return (&url.URL{Path: plain, RawPath: path}).EscapedPath()
}

// load reads the body of req into memory, so that it can be replayed. It does not close the body
// that req had.
func load(req *proxy.Request, most int64) error {
	b, err := bodyOf(req, most)
	if err != nil {
		return err
	}
	req.ContentLength = int64(len(b))
	req.Body, req.GetBody = nil, nil
	if len(b) > 0 {
		req.GetBody = func() (io.ReadCloser, error) { return call.InMemory(b), nil }
		req.Body = call.InMemory(b)
	}
	return nil
}

func bodyOf(req *proxy.Request, most int64) ([]byte, error) {
	body := io.Reader(req.Body)
	if req.GetBody != nil {
		again, err := req.GetBody()
		if err != nil {
			return nil, &proxy.Error{Op: "message", Err: err}
		}
		if again == nil {
			return nil, nil
		}
		defer again.Close()
		body = again
	} else if req.Body == nil {
		return nil, nil
	}
	limited := most >= 0 && most < math.MaxInt64
	if limited {
		body = io.LimitReader(body, most+1)
	}
	said := min(max(req.ContentLength, 0), defaultMaxBody) // a hint, not to be believed
	b := bytes.NewBuffer(make([]byte, 0, said+bytes.MinRead))
	if _, err := b.ReadFrom(body); err != nil {
		return nil, &proxy.Error{Op: "message", Err: err}
	}
	if limited && int64(b.Len()) > most {
		return nil, &proxy.Error{Status: http.StatusRequestEntityTooLarge, Op: "message", Err: ErrTooLarge}
	}
	return b.Bytes(), nil
}

// checkParams checks that a message has the declared params, and that every value is a valid
// segment of a URL, so that the path of an upstream has just the segments of its template.
func (a *Agent) checkParams(params *proxy.Params) error {
	for _, name := range a.spec.Params {
		_, ok := params.Lookup(name)
		if name == rest {
			ok = params.Rest() != nil
		}
		if !ok {
			return fmt.Errorf("the message lacks the param %q", name)
		}
	}
	for _, name := range params.Names() {
		if value := params.Get(name); value == "" || !field.ValidSegment(value) {
			return fmt.Errorf("the param %q of the message: %w", name, errParam)
		}
	}
	if !slices.ContainsFunc(params.Rest(), func(s string) bool { return !field.ValidSegment(s) }) {
		return nil
	}
	return fmt.Errorf("the param %q of the message: %w", rest, errParam)
}

// rest is the name, in plans and specs, of the segments that a wildcard stands for.
const rest = "*"

var errParam = errors.New("the value is empty, a dot segment, or has a control byte that no URL takes")
