package async

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/sluice-go/sluice/proxy"
)

// A Source delivers messages: a broker's client, a queue, a clock.
//
// Receive waits for the next message and returns it. An agent calls it from one goroutine at a time, and only when a
// worker is free, so a source need not bound what it hands out. When ctx is done Receive returns promptly, with any
// error and best without having taken a message; one that it has taken anyway is handed back with Nack.
//
// The error decides how the agent goes on:
//
//   - io.EOF itself, not wrapped, says that no message will come any more. Run ends without an error.
//   - An error marked by [Transient] is retried, after a wait that grows.
//   - Any other error ends Run, and so does a panic, as a *pipe.PanicError.
//
// In each case the messages in flight are finished first.
//
// A source that could not be made keeps its fault and has a method Fault() error, nil for none: New refuses a Spec with it.
type Source interface {
	Receive(ctx context.Context) (Message, error)
}

// A Message is what a [Source] delivers: a request and the two ways to settle it, of which exactly one is called, once.
type Message struct {
	// ID identifies the message within its source, for reports. It may be empty.
	ID string

	// Attempt counts the deliveries of this message, from 1. 0 means that the source does not know.
	Attempt int

	// Request is what the message asks. The agent works on a copy: its method is POST unless the source says otherwise,
	// its Path is the topic, made to begin with a slash and to be escaped if it is not, and its maps are never nil.
	//
	// The body is read into memory, from GetBody where there is one, so that it can be replayed. Body is closed in the
	// end, after Ack or Nack. The headers are as foreign as a client's: those that are hop-by-hop, that speak of another
	// host or body (Host, Content-Length, Expect), that tell of a way (Forwarded, X-Real-Ip and all of X-Forwarded-*), or
	// that HTTP does not allow, are gone before the pipe sees them. Upstream is what the source's own code says; never fill
	// it from the message.
	//
	// A message without a request is a failure.
	Request *proxy.Request

	// Ack tells the source that the message was worked on. An error is reported, and the message left as it is: what a
	// source does with a message of which it has heard nothing is its own matter. nil does nothing.
	//
	// The context of Ack and Nack is not that of the pipe: it goes on for a moment when the agent is cancelled. A worker
	// takes no other message before they have returned, but for one that has not within [Spec].AckTimeout: it is
	// abandoned, as a proxy is that ignores its context, which is reported at once.
	Ack func(ctx context.Context) error

	// Nack hands the message back to the source, which delivers it again or gives it up. The cause is never nil; it wraps
	// [ErrStopped] where the message did not fail but the agent ended. An error is reported. nil does nothing.
	Nack func(ctx context.Context, cause error) error
}

// Transient marks an error of [Source.Receive] as one that will pass, as a lost connection: the agent reports it, waits
// and tries again. Transient of nil is nil.
func Transient(err error) error {
	if err == nil {
		return nil
	}
	return &transientError{err}
}

type transientError struct{ err error }

func (e *transientError) Error() string { return e.err.Error() }
func (e *transientError) Unwrap() error { return e.err }

func isTransient(err error) (ok bool) {
	defer hollow()
	_, ok = errors.AsType[*transientError](err)
	return ok
}

// isStopped reports whether err wraps ErrStopped.
func isStopped(err error) (ok bool) {
	defer hollow()
	return errors.Is(err, ErrStopped)
}

// hollow recovers from a method of an error that panics, as those of a nil pointer do that was returned as an error.
func hollow() { _ = recover() }

var (
	// ErrStopped is why a message is handed back that has not failed: the agent was cancelled while it was in flight, or
	// it came when the agent was taking no more. It has status 503.
	ErrStopped = errors.New("the agent stops")

	// ErrPartial is why a message has failed whose answer lacks something that was optional; see [Spec]. What is missing
	// is wrapped beside it.
	ErrPartial = errors.New("the answer is partial")

	// ErrTooLarge is why a message is refused whose body is larger than allowed. It has status 413.
	ErrTooLarge = errors.New("the body of the message is too large")
)

// A MessageError says which message failed, and with what. It is what [Spec].Report gets; the source gets the Err alone.
// proxy.StatusOf tells the status of what it wraps.
type MessageError struct {
	Agent   string // its name
	ID      string // of the message, as the source gave it: foreign bytes
	Attempt int    // of the message, as the source counts
	Op      string // "ack", "nack" or "close" (of its body) where that failed, "partial" where that was accepted, else ""
	Err     error  // why
}

// Error returns the message from outside to inside, on one line whatever it holds, as in
//
//	agent mail: message "7" (attempt 2): backend smtp: dial: connection refused
func (e *MessageError) Error() string {
	var b strings.Builder
	b.WriteString(title(e.Agent))
	fmt.Fprintf(&b, ": message %q", shortened(e.ID))
	if e.Attempt > 0 {
		fmt.Fprintf(&b, " (attempt %d)", e.Attempt)
	}
	if e.Op != "" {
		b.WriteString(": " + e.Op)
	}
	if e.Err != nil {
		b.WriteString(": " + e.Err.Error())
	}
	return oneLine(b.String())
}

// Unwrap returns Err.
func (e *MessageError) Unwrap() error { return e.Err }

// title is how errors name an agent.
func title(name string) string {
	if name == "" {
		return "agent"
	}
	return "agent " + name
}

func shortened(id string) string {
	const most = 128
	if len(id) <= most {
		return id
	}
	return id[:most] + "…"
}

// oneLine replaces what could end a line of a log or begin an escape sequence of a terminal.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 || r == 0x2028 || r == 0x2029 {
			return '\uFFFD'
		}
		return r
	}, s)
}
