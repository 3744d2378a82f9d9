package async

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/sluice-go/sluice/proxy"
)

// A Source delivers messages, as the client of a broker, a queue or a clock does.
//
// Receive waits for the next message and returns it. An agent calls it from one goroutine at a
// time, and only when a worker is free, so a source need not limit what it hands out. When ctx is
// done, Receive must return promptly, with any error and preferably without having taken a message;
// if it has taken one anyway, the agent hands it back with Nack.
//
// The error decides how the agent goes on:
//
//   - io.EOF itself, not wrapped, means that no more messages will come. Run ends without an error.
//   - After an error marked by [Transient] the agent waits, longer each time, and tries again.
//   - Any other error ends Run, and so does a panic, as a *pipe.PanicError.
//
// Before Run ends, the messages in flight are finished.
//
// A source that is wired wrongly can have a method Fault() error, which returns nil if nothing is
// wrong: New refuses a Spec whose source has a fault.
type Source interface {
	Receive(ctx context.Context) (Message, error)
}

// A Message is what a [Source] delivers: a request and two functions to settle it. The agent calls
// exactly one of the two, once.
type Message struct {
	// ID identifies the message within its source, for reports. It may be empty.
	ID string

	// Attempt counts the deliveries of this message, from 1. 0 means that the source does not know.
	Attempt int

	// Request is the request that the pipe gets. The agent works on a copy. Its method is POST
	// unless the source sets one. Its Path is the topic; the agent puts a slash in front and
	// escapes it where that is missing. Its maps are never nil.
	//
	// The agent reads the body into memory, from GetBody if there is one, so that it can be
	// replayed. It closes Body at the end, after Ack or Nack. Headers are trusted no more than
	// those of a client. The agent drops headers that are hop-by-hop, that describe another host or
	// body (Host, Content-Length, Expect), that describe the path of a request (Forwarded,
	// X-Real-Ip and all of X-Forwarded-*), or that HTTP does not allow. Upstream holds what the
	// source's own code sets; never fill it from the message.
	//
	// A message without a request fails, with status 500 unless Err says why there is none.
	Request *proxy.Request

	// Err says why the source cannot read the message: it cannot be decoded, is damaged, or is of
	// an unknown version. Such a message fails with Err, which is reported and handed to Nack, and
	// the proxy is not called. The status is 400, or that of Err if Err wraps a [*proxy.Error].
	// Receive then returns no error, because the source works. nil means that the message can be
	// read.
	Err error

	// Ack tells the source that the message was processed. The agent reports an error and does
	// nothing else about it: the source decides what happens to a message that was not settled. A
	// nil Ack is skipped.
	//
	// The context of Ack and Nack is not that of the pipe: when the agent is cancelled, it goes on
	// for half a second, counted from the call if that is later. A worker takes no other message
	// until the call has returned. A call that does not return within [Spec].AckTimeout is
	// abandoned, like a proxy that ignores its context, and reported at once.
	Ack func(ctx context.Context) error

	// Nack hands the message back to the source, which delivers it again or drops it. The cause is
	// never nil. errors.Is finds [ErrStopped] in it only if the message did not fail but this agent
	// ended, whatever the proxy returned. The agent reports an error of Nack. A nil Nack is
	// skipped.
	Nack func(ctx context.Context, cause error) error
}

// Transient marks an error of [Source.Receive] as one that will pass, such as a lost connection:
// the agent reports it, waits and tries again. Transient of nil is nil.
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

// hollow recovers a panic in a method of an error, as of a nil pointer that was returned as an
// error.
func hollow() { _ = recover() }

var (
	// ErrStopped means that a message was handed back without having failed: the agent was
	// cancelled while the message was in flight, or the message arrived after the agent had stopped
	// taking any. It has status 503.
	ErrStopped = errors.New("the agent stops")

	// ErrPartial means that a message failed because its answer lacks an optional part; see [Spec].
	// The error that says what is missing is wrapped beside it.
	ErrPartial = errors.New("the answer is partial")

	// ErrTooLarge means that the body of a message is larger than allowed. It has status 413.
	ErrTooLarge = errors.New("the body of the message is too large")
)

// A MessageError says which message failed, and why. [Spec].Report gets it; the source gets only
// its Err. Its status, as proxy.StatusOf returns it, is that of Err.
type MessageError struct {
	Agent   string // the name of the agent
	ID      string // Message.ID, as the source gave it: foreign bytes
	Attempt int    // Message.Attempt, as the source counts
	Op      string // "ack", "nack" or "close" (of the body) if that failed, "partial" if that was accepted, else ""
	Err     error  // why it failed
}

// Error returns the text from outside to inside, always on one line, as in
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

// title returns the name of an agent for errors.
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

// oneLine replaces characters that could end a line of a log or begin an escape sequence of a
// terminal.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 || r == 0x2028 || r == 0x2029 {
			return '\uFFFD'
		}
		return r
	}, s)
}
