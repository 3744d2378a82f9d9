package h1

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
)

// ErrTooLarge is what an [Error] wraps if the head or the trailers of an answer are longer than
// MaxHeaderBytes.
var ErrTooLarge = errors.New("longer than MaxHeaderBytes")

// ErrBusy is what the error of a call wraps whose context has ended while all MaxConns connections of
// its host were in use.
var ErrBusy = errors.New("all connections to the host are in use")

// An Error says why an answer was refused: it breaks the rules of HTTP/1.1 (RFC 9112). Its text is
// for an operator. It has the name of a field or the beginning of a status line, never the value of
// a field or bytes of a body.
type Error struct {
	What  string // what is wrong, such as "bare LF"
	Where string // the part of the answer, quoted and at most 64 bytes of it, or ""
	Err   error  // the cause, or nil
}

// Error returns the text of the error on one line.
func (e *Error) Error() string {
	s := "malformed answer: " + e.What
	if e.Where != "" {
		s += ": " + e.Where
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// malformed returns an Error that quotes the beginning of where.
func malformed(what string, where []byte) *Error {
	const most = 64
	e := &Error{What: what}
	if len(where) > 0 {
		e.Where = strconv.QuoteToASCII(string(where[:min(len(where), most)]))
	}
	return e
}

var (
	// errNoAnswer is why a call fails that no answer has come for.
	errNoAnswer   = fmt.Errorf("the connection was closed before an answer: %w", io.EOF)
	errConcurrent = errors.New("concurrent reads of the body of an answer")
	errNoConn     = errors.New("the Dial of the transport returned neither a connection nor an error")
)

// isTimeout reports whether err says that a deadline has passed.
func isTimeout(err error) bool {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return true
	}
	e, ok := errors.AsType[net.Error](err)
	return ok && e.Timeout()
}
