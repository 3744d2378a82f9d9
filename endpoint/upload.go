package endpoint

import (
	"errors"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/sluice-go/sluice/internal/call"
	"github.com/sluice-go/sluice/internal/mark"
	"github.com/sluice-go/sluice/proxy"
)

var errOver = errors.New("the request is over")

// An upload is a request body that is handed on as it comes. Nobody reads from the client through
// it once the handler has returned.
type upload struct {
	request *http.Request
	body    io.ReadCloser // of request
	control *http.ResponseController
	call    *pipeCall // which gets the body
	limit   int64     // of bytes; 0 is no limit

	reading chan struct{} // holds one value while the body is read; guards read and idle
	read    int64
	idle    patience // with each silence

	mu     sync.Mutex // guards what follows, and is never held for long
	err    error      // of the last read
	closed bool
	pulled bool          // a read has begun: a client that waits for 100 is told to send
	held   chan struct{} // reads wait until it is closed; nil if they need not
}

// Mark says that it guards what it reads; see pull.
func (*upload) Mark() mark.Type { return mark.TypeOf[*upload]() }

// prepare makes w ready for an answer that begins while the request is still read.
func (u *upload) prepare(w http.ResponseWriter) error {
	if err := checkStreamWriter(w); err != nil {
		return err
	}
	if u.request.ProtoMajor == 1 {
		if err := u.control.EnableFullDuplex(); err != nil {
			return unable("read and write at a time", err)
		}
	}
	return nil
}

// Read reads from the client, which must not be silent for longer than the idle limit.
func (u *upload) Read(p []byte) (int, error) {
	u.reading <- struct{}{}
	defer func() { <-u.reading }()
	if err := u.begin(); err != nil {
		return 0, err
	}
	if deadline, set := u.idle.deadline(); set {
		_ = u.control.SetReadDeadline(deadline)
	}
	n, err := u.pull(p)
	if u.request.ProtoMajor == 2 && u.idle.rest() { // where the deadline breaks the body even if nobody reads
		_ = u.control.SetReadDeadline(time.Time{})
	}
	u.mu.Lock()
	u.err = err
	u.mu.Unlock()
	return n, err
}

// pull reads from the body, which a middleware may have made, with the methods of its errors. Most
// often that is on a goroutine of net/http, where a panic would end the process, and runtime.Goexit
// would leave the call waiting.
func (u *upload) pull(p []byte) (n int, err error) {
	returned := false
	defer func() {
		if returned {
			return
		}
		v := recover()
		n, err = 0, &proxy.Error{Op: "body", Err: call.PanicOf(v)}
		if v == nil { // nobody gets the error
			u.mu.Lock()
			u.err = err
			u.mu.Unlock()
			u.call.end()
		}
	}()
	n, err = u.body.Read(p)
	u.read += int64(n)
	switch {
	case u.limit > 0 && u.read > u.limit:
		n, err = 0, tooLarge()
	case err != nil && err != io.EOF && u.state() != nil:
		err = bodyError(err, "", 0) // end has broken the read: the client was not too slow
	case err != nil && err != io.EOF:
		err = bodyError(err, "was silent for IdleTimeout", u.idle.limit)
	}
	returned = true
	return n, err
}

// Close makes further reads fail. It waits for nothing: closing net/http's body would read the rest
// of it.
func (u *upload) Close() error {
	u.mu.Lock()
	u.closed = true
	u.mu.Unlock()
	u.letGo()
	return nil
}

// begin returns why nothing can be read, or nil once a read may begin.
func (u *upload) begin() error {
	u.mu.Lock()
	held := u.held
	u.pulled = u.pulled || held == nil
	u.mu.Unlock()
	if held != nil {
		<-held
	}
	return u.state()
}

// hold makes a read that has not begun wait: the answer is known, and a client that waits for 100
// must not be told to send a body that nobody asked for.
func (u *upload) hold() {
	u.mu.Lock()
	defer u.mu.Unlock()
	if !u.pulled && !u.closed && u.held == nil && len(u.request.Header["Expect"]) > 0 {
		u.held = make(chan struct{})
	}
}

// holds reports whether reads wait for the header of the answer.
func (u *upload) holds() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.held != nil
}

// letGo ends hold: after the header of the answer net/http sends no 100.
func (u *upload) letGo() {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.held != nil {
		close(u.held)
		u.held = nil
	}
}

// state returns why nothing more can be read, or nil.
func (u *upload) state() error {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.closed {
		return errOver
	}
	return u.err
}

// complete reports whether the body was read to its end.
func (u *upload) complete() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.err == io.EOF
}

// settleTime is how long a read is waited for that is under way when the client seems to have left.
const settleTime = 50 * time.Millisecond

// settle waits a little for a read that is under way. A read that finds the body broken has net/http
// end the context before it returns.
func (u *upload) settle() {
	timer := time.NewTimer(settleTime)
	defer timer.Stop()
	select {
	case u.reading <- struct{}{}:
		<-u.reading
	case <-timer.C:
	}
}

// failure returns why reading from the client failed, or nil.
func (u *upload) failure() error {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.err == io.EOF {
		return nil
	}
	return u.err
}

// trailer returns the client's trailers once the body is at its end.
func (u *upload) trailer() http.Header {
	if !u.complete() {
		return nil
	}
	h := http.Header{}
	filter(h, u.request.Trailer, 0, false, keepEndToEnd)
	return h
}

// end takes the body away from whoever still reads it.
func (u *upload) end() {
	_ = u.Close()
	if !u.call.parent.handler.interrupt(u.reading, u.control) {
		return
	}
	defer func() { <-u.reading }()
	if u.complete() {
		_ = u.control.SetReadDeadline(time.Time{}) // if the end came at the same moment
		return
	}
	drain := drainTime // net/http reads the rest of the body
	if u.waits() {
		drain = 0 // nothing comes
	}
	_ = u.control.SetReadDeadline(time.Now().Add(drain))
}

// interrupt ends a read that waits for the client, and keeps others from beginning: it takes the
// place in reading, a channel that holds a value while the body is read. A read that blocks all the
// same, in code of a middleware, is abandoned; then it reports false.
func (h *handler) interrupt(reading chan struct{}, control *http.ResponseController) bool {
	select {
	case reading <- struct{}{}:
		return true
	default:
	}
	_ = control.SetReadDeadline(time.Unix(1, 0))
	select {
	case reading <- struct{}{}:
		return true
	case <-time.After(interruptTime):
	}
	h.abandoned.Add(1)
	go func() {
		defer h.abandoned.Add(-1)
		reading <- struct{}{}
		<-reading
	}()
	return false
}

// interruptTime is how long a read may take to return once its connection is broken.
const interruptTime = 50 * time.Millisecond

// waits reports whether the client still waits for 100 before it sends.
func (u *upload) waits() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return !u.pulled && len(u.request.Header["Expect"]) > 0
}
