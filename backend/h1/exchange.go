package h1

import (
	"context"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"time"

	"github.com/sluice-go/sluice/internal/call"
)

// An exchange is one call: a request, and its answer on the same connection. It is one allocation,
// together with the response and its body.
type exchange struct {
	resp      http.Response
	encoding  [1]string // of the response
	transport *Transport
	ctx       context.Context
	trace     *httptrace.ClientTrace // or nil
	asked     *http.Request          // as the caller gave it
	req       *http.Request          // the same, or with a body that was opened again
	conn      *conn
	upload    *upload // nil if the request was sent whole
	waiting   bool    // the upload waits for 100 Continue
	closes    bool    // the request has the connection closed behind the answer
	received  bool    // something of the answer has arrived
	begun     bool    // the head of the answer has arrived
	body
}

// run makes the exchange on a connection on which it has begun, until the head of the answer is there.
// A panic of a user's code, such as a hook of the trace, is an error. If that ends its goroutine with
// runtime.Goexit, the call is given up here, because nobody else will do it.
func (x *exchange) run(c *conn) (err error) {
	returned := false
	defer func() {
		if returned {
			return
		}
		v := recover()
		if err = call.PanicOf(v); v == nil {
			x.giveUp()
			x.transport.release(c.host)
		}
	}()
	x.conn = c
	c.open()
	err = x.untilAnswer()
	returned = true
	return err
}

// untilAnswer sends the request, or begins to, and reads until the head of the answer is there.
func (x *exchange) untilAnswer() error {
	x.connected()
	if err := x.send(); err != nil {
		return err
	}
	left := limit(x.transport.MaxHeaderBytes, 256<<10)
	if err := x.first(); err != nil {
		return err
	}
	for {
		s, err := x.section(true, &left)
		if err != nil {
			return err
		}
		if err := x.answer(s); err != nil {
			return err
		}
		if code := x.resp.StatusCode; code >= 200 || code == http.StatusSwitchingProtocols {
			x.begun = true
			return nil
		}
		if err := x.inform(); err != nil {
			return err
		}
	}
}

// first waits for the first byte of the answer.
func (x *exchange) first() error {
	if err := x.fill(); err != nil {
		return err
	}
	if x.trace != nil && x.trace.GotFirstResponseByte != nil {
		x.trace.GotFirstResponseByte()
	}
	return nil
}

// connected tells the trace which connection the call has.
func (x *exchange) connected() {
	if x.trace == nil || x.trace.GotConn == nil {
		return
	}
	c := x.conn
	info := httptrace.GotConnInfo{Conn: c.Conn, Reused: c.reused, WasIdle: c.reused}
	if c.tls != nil {
		info.Conn = c.tls
	}
	x.trace.GotConn(info)
}

// inform handles an informational answer.
func (x *exchange) inform() error {
	code, header := x.resp.StatusCode, x.resp.Header
	if code == http.StatusContinue && x.waiting {
		x.conn.wait(time.Time{})
		x.proceed()
		if x.trace != nil && x.trace.Got100Continue != nil {
			x.trace.Got100Continue()
		}
	}
	if x.trace != nil && x.trace.Got1xxResponse != nil {
		return x.trace.Got1xxResponse(code, textproto.MIMEHeader(header))
	}
	return nil
}

// proceed begins to send the body that has waited for 100 Continue.
func (x *exchange) proceed() {
	x.waiting = false
	x.upload.start()
}

// fill reads at least one byte into the buffer of the connection.
func (x *exchange) fill() error {
	c := x.conn
	n, err := x.read(c.more())
	c.w += n
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
		if !x.received {
			err = errNoAnswer
		}
	}
	return err
}

// read reads from the connection at least one byte. If sending the request has failed, that is why
// reading fails.
func (x *exchange) read(p []byte) (int, error) {
	for range 100 {
		n, err := x.conn.rw.Read(p)
		if n > 0 {
			x.received = true
			return n, nil
		}
		if err == nil {
			continue
		}
		late := isTimeout(err) && x.ctx.Err() == nil
		failed, own := x.upload.failure()
		switch {
		case late && x.waiting: // nobody says continue
			x.conn.wait(time.Time{})
			x.proceed()
			continue
		case own, late && failed != nil && !x.begun:
			return 0, failed
		case late && failed != nil: // the answer is worth more
			x.conn.wait(time.Time{})
			continue
		case x.ctx.Err() != nil:
			return 0, context.Cause(x.ctx)
		}
		return 0, err
	}
	return 0, io.ErrNoProgress
}

// giveUp closes the connection of a call, and keeps the right to have one.
func (x *exchange) giveUp() {
	c := x.conn
	_ = c.Close()
	c.finish()
	x.upload.abandon()
	c.drop()
}

// response returns the answer whose head has arrived.
func (x *exchange) response() (*http.Response, error) {
	switch {
	case x.resp.StatusCode == http.StatusSwitchingProtocols:
		if err := x.upgrade(); err != nil {
			x.giveUp()
			x.transport.release(x.conn.host)
			return nil, err
		}
	case x.waiting: // the body was refused
		x.upload.abandon()
		fallthrough
	default:
		if x.ended {
			x.finish(true)
		} else {
			x.resp.Body = x
		}
	}
	return &x.resp, nil
}
