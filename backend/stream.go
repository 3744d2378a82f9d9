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
	"github.com/sluice-go/sluice/internal/mark"
	"github.com/sluice-go/sluice/proxy"
)

// streamed passes the answer on as it comes.
func (c *exchange) streamed(ctx context.Context, req *proxy.Request, resp *http.Response) (*proxy.Response, error) {
	switch status := resp.StatusCode; {
	case status == http.StatusSwitchingProtocols:
		return c.upgraded(ctx, resp)
	case status < 200 || status > 999:
		c.leaf.discard(ctx, resp.Body)
		c.end()
		return nil, c.leaf.failed(ctx, "status", fmt.Errorf("upstream answered %d", status))
	}
	b := c.answer
	b.ctx, b.resp, b.rc, b.left = ctx, resp, resp.Body, -1
	if c.leaf.held == nil { // the transport may ignore its context
		b.rc = call.NewBody(ctx, c.leaf.bound, resp.Body)
	}
	h := resp.Header
	if !c.leaf.described(ctx) || len(h["Connection"]) > 0 { // what is added to it outside is not for Connection to name
		if h = endToEnd(h); h == nil {
			h = http.Header{}
		}
	} else { // only our code sees it, and the endpoint filters it the same way
		checkRetryAfter(h)
	}
	switch {
	case c.out.Method == http.MethodHead || isEmpty(resp.StatusCode):
		c.leaf.discard(ctx, resp.Body)
		b.rc = http.NoBody
		switch {
		case resp.StatusCode == http.StatusNoContent, resp.StatusCode == http.StatusResetContent:
			delete(h, "Content-Length")
		case c.out.Method == http.MethodHead && req.Method != http.MethodHead:
			delete(h, "Content-Length") // no body follows
		}
	case resp.ContentLength > 0:
		b.left = resp.ContentLength
	case resp.ContentLength < 0:
		delete(h, "Content-Length") // it is not the length of what follows
	}
	res := &b.res
	res.Status, res.Header, res.Body = resp.StatusCode, h, b
	if resp.ContentLength < 0 || resp.ProtoMajor > 1 || len(resp.Trailer) > 0 {
		res.Trailer = b.trailers
	}
	return res, nil
}

// isEmpty reports whether an answer of this status has no body, whatever bytes follow (RFC 9110,
// section 6.4.1).
func isEmpty(status int) bool {
	return status == http.StatusNoContent || status == http.StatusResetContent || status == http.StatusNotModified
}

// upgraded hands over the connection if the upstream switched to the protocol that it was asked
// for, and fails on any other switch.
func (c *exchange) upgraded(ctx context.Context, resp *http.Response) (*proxy.Response, error) {
	conn, ok := resp.Body.(io.ReadWriteCloser)
	got := resp.Header["Upgrade"]
	if !ok || c.asked == "" || len(got) != 1 || !isProtocol(got[0]) || !field.EqualToken(got[0], c.asked) {
		c.leaf.discard(ctx, resp.Body)
		c.end()
		return nil, c.leaf.failed(ctx, "status", errSwitch)
	}
	res := &proxy.Response{Status: http.StatusSwitchingProtocols, Header: endToEnd(resp.Header), Upgrade: conn}
	res.OnClose(c.end)
	return res, nil
}

var errSwitch = errors.New("upstream switched to a protocol that nobody asked for")

// A streamBody is the body of an answer that is passed on.
type streamBody struct {
	exchange exchange
	ctx      context.Context
	resp     *http.Response
	rc       io.ReadCloser
	left     int64 // bytes left of the announced length; negative if none was announced
	hints    informer
	res      proxy.Response // here to save an allocation: it lives as long as its body
	closed   atomic.Bool
}

// Read reads from the upstream. A body that ends before its announced length is an
// io.ErrUnexpectedEOF; bytes beyond that length are dropped.
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
		err = b.exchange.leaf.failed(b.ctx, "read", err)
	}
	return n, err
}

// Mark says that it guards what it reads.
func (*streamBody) Mark() mark.Type { return mark.TypeOf[*streamBody]() }

// Close closes the body, and the connection too if the body was not read to its end.
func (b *streamBody) Close() error {
	if b.closed.Swap(true) {
		return nil
	}
	b.exchange.end()
	return b.rc.Close()
}

// trailers returns the trailers. Before the end of the body it returns the names of the announced
// ones, without values.
func (b *streamBody) trailers() http.Header {
	h := make(http.Header, len(b.resp.Trailer))
	for name, values := range b.resp.Trailer {
		if isTrailer(name) {
			h[name] = field.Values(values)
		}
	}
	return h
}

// isTrailer reports whether a field may be a trailer. A field that frames, routes, authenticates or
// says how to read the payload may not (RFC 9110, section 6.5.1).
func isTrailer(name string) bool {
	_, twin, ok := field.Parse(name)
	switch twin {
	case "Authorization", "Cache-Control", "Content-Encoding", "Content-Range", "Content-Type", "Cookie", "Expect",
		"Location", "Max-Forwards", "Range", "Set-Cookie", "Www-Authenticate":
		return false
	}
	return ok && !field.Managed(twin) && !strings.HasPrefix(twin, "If-")
}

// maxInformational bounds the informational answers of one call. The transport stops counting them
// once a trace listens to them.
const maxInformational = 2000

var errInformational = errors.New("too many informational answers")

// An informer forwards informational answers while the call waits for the final answer. The
// transport calls it on its own goroutine.
type informer struct {
	trace  httptrace.ClientTrace
	ctx    context.Context
	mu     sync.Mutex // held while inform runs, so that inform never begins after end
	inform func(status int, h http.Header)
	n      int
	ended  bool
	failed error // of inform; the error of HTTP/2 does not wrap it
}

func (i *informer) got(status int, h textproto.MIMEHeader) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.n++; i.n > maxInformational {
		return errInformational
	}
	if i.ended || status == http.StatusContinue || status < 100 || status > 199 { // 100 is for the gateway alone
		return nil
	}
	header := endToEnd(http.Header(h).Clone())
	_, i.failed = call.Guard(i.ctx, nil, nil, func() (struct{}, error) { i.inform(status, header); return struct{}{}, nil })
	return i.failed
}

// end keeps inform from being called, and returns why it failed, if it did.
func (i *informer) end() error {
	if i.inform == nil {
		return nil
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.ended = true
	return i.failed
}
