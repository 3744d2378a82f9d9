package h1

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/sluice-go/sluice/internal/call"
	"github.com/sluice-go/sluice/internal/field"
)

const (
	// probeTime is how long a body that is likely to be empty is waited for, as in net/http.
	probeTime = 200 * time.Millisecond

	// settleTime is how long a call waits at the end of its answer for the last Write of its request
	// to return.
	settleTime = 50 * time.Millisecond
)

// An upload sends a request that has a body. One in memory that fits into the buffer goes out with
// the head, on the goroutine of the call. Any other is sent on a goroutine of its own, because the
// answer may come before the body was read, and the body may block.
type upload struct {
	ctx     context.Context
	conn    *conn
	body    io.ReadCloser
	length  int64 // as announced; negative if the body is sent in chunks
	left    int64 // of length
	trailer http.Header
	room    *buffer
	out     []byte // what is to be sent next
	first   piece  // of the body, not sent yet
	probed  chan piece
	eof     bool          // the body has ended
	done    chan struct{} // closed when run has ended; nil if it was not called
	err     error         // why the request was not sent whole; valid after done
	own     bool          // err is not that of the connection; valid after done
	last    atomic.Bool   // the last bytes are being sent
	inRead  atomic.Bool   // the body is being read
	ended   atomic.Bool   // the call is over
	shut    atomic.Bool   // the body is closed
}

// A piece is what a Read of a body has returned.
type piece struct {
	b   []byte
	err error
}

var (
	errEnded = errors.New("the call is over")
	errCount = errors.New("the request body returned an impossible count of bytes")
)

// sent is the done of an upload that went out with the head.
var sent = func() chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}()

// inMemory reports whether reading a body cannot block. A body of sluice says so with a method
// InMemory.
func inMemory(body io.ReadCloser) bool {
	if call.IsInMemory(body) {
		return true
	}
	if t := reflect.TypeOf(body); t != nopCloser && t != nopCloserWriterTo {
		return false
	}
	switch reflect.ValueOf(body).Field(0).Interface().(type) {
	case *bytes.Reader, *bytes.Buffer, *strings.Reader:
		return true
	}
	return false
}

// The types that http.NewRequest wraps what is in memory with.
var (
	nopCloser         = reflect.TypeOf(io.NopCloser(nil))
	nopCloserWriterTo = reflect.TypeOf(io.NopCloser(struct {
		io.Reader
		io.WriterTo
	}{}))
)

// send sends the request, or begins to.
func (x *exchange) send() error {
	c, req := x.conn, x.req
	x.closes = req.Close || field.HasToken(req.Header["Connection"], "close")
	length := bodyLength(req)
	if length == 0 {
		return x.write(appendHead(c.buf[:0], req, 0))
	}
	u := &upload{ctx: x.ctx, conn: c, body: req.Body, trailer: req.Trailer}
	x.upload = u
	memory := inMemory(req.Body)
	if length < 0 && len(req.TransferEncoding) == 0 && mayBeEmpty(req.Method) {
		empty, err := u.probe(memory)
		if err != nil {
			return err
		}
		if empty {
			length = 0
		}
	}
	u.length, u.left = length, length
	u.room = c.room
	c.open() // another buffer
	u.out = appendHead(u.room[:0], req, length)
	expects := field.HasToken(req.Header["Expect"], "100-continue")
	if memory && !expects {
		for !u.eof && cap(u.out)-len(u.out) > minRoom {
			if err := u.fill(); err != nil {
				return err
			}
		}
		if u.eof {
			return x.write(u.out)
		}
	}
	c.watch()
	if !expects {
		u.start()
		return nil
	}
	if _, err := c.rw.Write(u.out); err != nil {
		return err
	}
	u.out = nil
	x.waiting = true
	if most := duration(x.transport.ContinueTimeout, time.Second); most > 0 {
		c.wait(time.Now().Add(most))
	}
	return nil
}

// write sends the whole request. If that takes long, a goroutine goes on with it, because the answer
// may come before the peer has read the request.
func (x *exchange) write(out []byte) error {
	c, u := x.conn, x.upload
	var n int
	var err error
	if c.tls != nil {
		_, err = c.tls.Write(out) // cannot be continued elsewhere
	} else {
		n, err = c.Conn.Write(out)
	}
	if err == nil {
		if u != nil {
			u.release()
			u.close()
			u.done = sent
		}
		return nil
	}
	if u == nil {
		u = &upload{ctx: x.ctx, conn: c, room: c.room, eof: true}
		x.upload = u
		c.open()
	}
	if c.tls == nil && isTimeout(err) {
		if err := c.late(err); err != nil {
			return err
		}
		u.out = out[n:]
		u.start()
		return nil
	}
	c.watch()
	u.release()
	u.close()
	u.done = make(chan struct{})
	u.end(err, false) // the answer may be there all the same
	return nil
}

// probe reports whether a body of unknown length is empty, by reading the beginning of it.
func (u *upload) probe(memory bool) (empty bool, err error) {
	probed := make(chan piece, 1)
	read := func() {
		p, returned := piece{b: make([]byte, 512)}, false
		defer func() {
			if !returned {
				p = piece{err: call.PanicOf(recover())}
			}
			probed <- p
		}()
		n, err := u.readBody(p.b)
		p.b, p.err = p.b[:n], err
		returned = true
	}
	if memory {
		read()
	} else {
		go read()
	}
	late := time.NewTimer(probeTime)
	defer late.Stop()
	select {
	case u.first = <-probed:
		return len(u.first.b) == 0 && u.first.err == io.EOF, nil
	case <-late.C:
		u.probed = probed
		return false, nil
	case <-u.ctx.Done():
		u.probed = probed
		return false, context.Cause(u.ctx)
	}
}

// minRoom is how much of the buffer must be free for one more piece of the body, with what stands
// around a chunk.
const minRoom = 512

// fill reads one piece of the body, and appends it to what is to be sent.
func (u *upload) fill() error {
	out := u.out
	if u.length >= 0 {
		n, err := u.read(out[len(out):cap(out)][:min(int64(cap(out)-len(out)), u.left)])
		u.out = out[:len(out)+n]
		u.left -= int64(n)
		u.eof = err == io.EOF
		if u.eof && u.left > 0 {
			return u.wrongLength(u.length - u.left)
		}
		if err == nil && u.left == 0 {
			err = u.beyond()
		}
		u.last.Store(u.eof)
		return notEOF(err)
	}
	const before, behind = len("ffff\r\n"), len("\r\n0\r\n\r\n")
	start := len(out) + before
	n, err := u.read(out[start : cap(out)-behind])
	if n > 0 {
		data := out[start : start+n]
		out = strconv.AppendInt(out, int64(n), 16)
		out = append(out, '\r', '\n')
		out = append(out, data...) // moves it down if the size has few digits
		out = append(out, '\r', '\n')
	}
	if u.eof = err == io.EOF; u.eof {
		u.last.Store(true)
		out = append(out, "0\r\n"...)
		if err := checkTrailer(u.trailer); err != nil {
			return err
		}
		for _, name := range slices.Sorted(maps.Keys(u.trailer)) {
			for _, v := range u.trailer[name] {
				out = appendField(out, name, v)
			}
		}
		out = append(out, '\r', '\n')
	}
	u.out = out
	return notEOF(err)
}

func notEOF(err error) error {
	if err == io.EOF {
		return nil
	}
	return err
}

// beyond sees to it that the body ends where it was announced to end, before the last bytes are sent.
func (u *upload) beyond() error {
	var one [1]byte
	n, err := u.read(one[:])
	if n > 0 {
		return u.wrongLength(u.length + 1)
	}
	u.eof = err == io.EOF
	return notEOF(err)
}

func (u *upload) wrongLength(n int64) error {
	return fmt.Errorf("http: ContentLength=%d with Body length %d", u.length, n)
}

// read reads from the body at least one byte, beginning with what was read before.
func (u *upload) read(p []byte) (int, error) {
	if u.probed != nil {
		u.first, u.probed = <-u.probed, nil
	}
	if len(u.first.b) > 0 {
		n := copy(p, u.first.b)
		u.first.b = u.first.b[n:]
		return n, nil
	}
	if err := u.first.err; err != nil {
		return 0, err
	}
	for range 100 {
		n, err := u.readBody(p)
		if n != 0 || err != nil {
			u.first.err = err // of every further Read
			return n, err
		}
	}
	return 0, io.ErrNoProgress
}

// readBody calls the Read of the body once, unless the call is over.
func (u *upload) readBody(p []byte) (int, error) {
	u.inRead.Store(true)
	defer u.inRead.Store(false)
	if u.ended.Load() {
		return 0, errEnded
	}
	n, err := u.body.Read(p)
	if n < 0 || n > len(p) {
		return 0, errCount
	}
	return n, err
}

// start has the request sent on a goroutine of its own. The wire must be watched.
func (u *upload) start() {
	u.done = make(chan struct{})
	go u.run()
}

func (u *upload) run() {
	var err error
	own, returned := true, false
	defer func() {
		if !returned {
			err = call.PanicOf(recover())
		}
		u.close()
		u.release()
		u.end(err, own)
	}()
	err, own = u.sendAll()
	returned = true
}

// sendAll sends the request, and reports whether an error is not one of the connection.
func (u *upload) sendAll() (err error, own bool) {
	for {
		if len(u.out) > 0 {
			if _, err := u.conn.rw.Write(u.out); err != nil {
				return err, false
			}
		}
		if u.eof {
			return nil, false
		}
		u.out = u.room[:0]
		if err := u.fill(); err != nil {
			return err, true
		}
	}
}

// end says that the request was sent, or why not. Whoever waits for the answer is woken then.
func (u *upload) end(err error, own bool) {
	u.err, u.own = err, own
	close(u.done)
	switch c := u.conn; {
	case err == nil:
		return
	case !own && u.ctx.Err() == nil:
		_ = c.SetReadDeadline(time.Now().Add(settleTime)) // the answer may be there
		if u.ctx.Err() == nil {
			return
		}
		fallthrough // the end of the context may have been overridden
	default:
		c.wire.end()
	}
}

// failure returns why the request was not sent whole, or nil, and whether that is not the
// connection's fault.
func (u *upload) failure() (err error, own bool) {
	if u == nil || u.done == nil {
		return nil, false
	}
	select {
	case <-u.done:
		return u.err, u.own
	default:
		return nil, false
	}
}

// settled reports whether the request was sent whole. If only the last Write has yet to return, it
// waits for that.
func (u *upload) settled() bool {
	if u == nil {
		return true
	}
	if u.done == nil {
		return false
	}
	select {
	case <-u.done:
		return u.err == nil
	default:
	}
	if !u.last.Load() {
		return false
	}
	late := time.NewTimer(settleTime)
	defer late.Stop()
	select {
	case <-u.done:
		return u.err == nil
	case <-late.C:
		return false
	}
}

// abandon ends the upload. A body that is just being read is closed meanwhile, because that may be
// what ends the Read.
func (u *upload) abandon() {
	if u == nil {
		return
	}
	u.ended.Store(true)
	switch {
	case u.done == nil:
		u.release()
		if u.inRead.Load() {
			go u.close()
		} else {
			u.discard()
		}
	case u.inRead.Load():
		go u.close()
	}
}

// release gives the buffers back.
func (u *upload) release() {
	if u.room != nil {
		u.conn.transport.buffers.Put(u.room)
	}
	u.room, u.out = nil, nil
}

// close closes the body, once.
func (u *upload) close() {
	if u.body != nil && !u.shut.Swap(true) {
		_ = call.Close(u.body)
	}
}

// discard closes the body on the goroutine of the call.
func (u *upload) discard() {
	if u.body != nil && !u.shut.Swap(true) {
		call.Discard(u.ctx, u.body)
	}
}
