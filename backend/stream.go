package backend

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/sluice-go/sluice/internal/call"
	"github.com/sluice-go/sluice/internal/field"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
)

// streamed passes the answer on as it comes.
func (c *exchange) streamed(ctx context.Context, req *proxy.Request, resp *http.Response) (*proxy.Response, error) {
	switch status := resp.StatusCode; {
	case status == http.StatusSwitchingProtocols:
		return c.upgraded(ctx, resp)
	case status < 200 || status > 999:
		call.Discard(ctx, resp.Body)
		c.end()
		return nil, c.failed(ctx, "status", fmt.Errorf("upstream answered %d", status))
	}
	b := c.answer
	b.ctx, b.resp, b.rc, b.left = ctx, resp, resp.Body, -1
	h := resp.Header
	if !call.Described(ctx) { // else only the endpoint sees it, which does the same
		if h = endToEnd(h); h == nil {
			h = http.Header{}
		}
	}
	switch {
	case c.out.Method == http.MethodHead || isEmpty(resp.StatusCode):
		call.Discard(ctx, resp.Body)
		b.rc = http.NoBody
		switch {
		case resp.StatusCode == http.StatusNoContent, resp.StatusCode == http.StatusResetContent:
			delete(h, "Content-Length")
		case c.out.Method == http.MethodHead && req.Method != http.MethodHead:
			delete(h, "Content-Length") // of a body that does not follow
		}
	case resp.ContentLength > 0:
		b.left = resp.ContentLength
	case resp.ContentLength < 0:
		delete(h, "Content-Length") // the end is not where it says
	}
	res := &b.res
	res.Status, res.Header, res.Body = resp.StatusCode, h, b
	if resp.ContentLength < 0 || resp.ProtoMajor > 1 || len(resp.Trailer) > 0 {
		res.Trailer = b.trailers
	}
	return res, nil
}

// isEmpty reports whether an answer of this status has no body, whatever follows it (RFC 9110, section 6.4.1).
func isEmpty(status int) bool {
	return status == http.StatusNoContent || status == http.StatusResetContent || status == http.StatusNotModified
}

// upgraded hands over the connection of a protocol switch that was asked for, and refuses any other.
func (c *exchange) upgraded(ctx context.Context, resp *http.Response) (*proxy.Response, error) {
	conn, ok := resp.Body.(io.ReadWriteCloser)
	got := resp.Header["Upgrade"]
	if !ok || c.asked == "" || len(got) != 1 || !isProtocol(got[0]) || !field.EqualToken(got[0], c.asked) {
		call.Discard(ctx, resp.Body)
		c.end()
		return nil, c.failed(ctx, "status", errSwitch)
	}
	res := &proxy.Response{Status: http.StatusSwitchingProtocols, Header: endToEnd(resp.Header), Upgrade: conn}
	res.OnClose(c.end)
	return res, nil
}

var errSwitch = errors.New("upstream switched to a protocol that nobody asked for")

// A streamBody is the body of an answer that is passed on.
type streamBody struct {
	exchange
	ctx    context.Context
	resp   *http.Response
	rc     io.ReadCloser
	left   int64 // of the announced length; negative if there is none
	hints  informer
	res    proxy.Response // saves an allocation: the answer lives as long as its body
	closed atomic.Bool
}

// Read reads from the upstream. An end before the announced length is io.ErrUnexpectedEOF, and what comes after it is
// dropped.
func (b *streamBody) Read(p []byte) (int, error) {
	n, err := b.rc.Read(p)
	if b.left >= 0 {
		if int64(n) > b.left {
			n, err = int(b.left), io.EOF
		}
		b.left -= int64(n)
		if err == io.EOF && b.left > 0 {
			err = io.ErrUnexpectedEOF
		}
	}
	if err != nil && err != io.EOF {
		err = b.failed(b.ctx, "read", err)
	}
	return n, err
}

// Close closes the body; if it was not read to its end, the connection too.
func (b *streamBody) Close() error {
	if b.closed.Swap(true) {
		return nil
	}
	b.end()
	return b.rc.Close()
}

// trailers returns the trailers that came, or before the end the names of those that were announced.
func (b *streamBody) trailers() http.Header {
	h := make(http.Header, len(b.resp.Trailer))
	for name, values := range b.resp.Trailer {
		if isTrailer(name) {
			h[name] = field.Values(values)
		}
	}
	return h
}

// isTrailer reports whether a field may be a trailer: nothing that frames, routes, authenticates or says how to read
// the payload (RFC 9110, section 6.5.1).
func isTrailer(name string) bool {
	_, twin, ok := field.Parse(name)
	switch twin {
	case "Authorization", "Cache-Control", "Content-Encoding", "Content-Range", "Content-Type", "Cookie", "Expect",
		"Location", "Max-Forwards", "Range", "Set-Cookie", "Www-Authenticate":
		return false
	}
	return ok && !isManaged(twin) && !strings.HasPrefix(twin, "If-")
}

// maxInformational bounds the informational answers of one call: the transport no longer counts them where they are
// listened to.
const maxInformational = 2000

var errInformational = errors.New("too many informational answers")

// An informer hands on informational answers while the call waits for the final one. The transport calls it on a
// goroutine of its own.
type informer struct {
	trace  httptrace.ClientTrace
	mu     sync.Mutex // held while inform runs, so that none runs after end
	inform func(status int, h http.Header)
	n      int
	ended  bool
}

func (i *informer) got(status int, h textproto.MIMEHeader) (err error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	defer func() {
		if v := recover(); v != nil {
			err = pipe.NewPanicError(v) // on the transport's goroutine it would end the process
		}
	}()
	if i.n++; i.n > maxInformational {
		return errInformational
	}
	if i.ended || status == http.StatusContinue || status < 100 || status > 199 { // 100 is between us and the upstream
		return nil
	}
	i.inform(status, endToEnd(http.Header(h).Clone()))
	return nil
}

func (i *informer) end() {
	if i.inform == nil {
		return
	}
	i.mu.Lock()
	i.ended = true
	i.mu.Unlock()
}
