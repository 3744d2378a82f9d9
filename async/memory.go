package async

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/sluice-go/sluice/internal/mark"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
)

var (
	// ErrFull means that a [Memory] refused a message because it holds as many as it may. It has
	// status 503.
	ErrFull = errors.New("the queue is full")

	// ErrClosed means that a [Memory] refused a message because Close was called. It has status
	// 503.
	ErrClosed = errors.New("the queue is closed")

	// ErrGivenUp is what Nack of a [Memory] returns when it drops the message, which has been
	// delivered as often as it may be.
	ErrGivenUp = errors.New("the message is dropped")
)

const defaultTries = 10

// A Memory is a [Source] in memory: a bounded queue that is filled through a proxy, see
// [Memory.Publisher]. With it an endpoint can answer at once and leave the work for later; in tests
// it stands for a broker. Messages that it holds when the process ends are lost.
//
// A message that was handed back is delivered again after a wait that grows, behind the messages
// that are ready by then. By default it is delivered at most 10 times in all, with waits of less
// than a minute in total; Backoff changes that. Then the queue drops the message, because it has no
// dead letter queue, and Nack returns [ErrGivenUp], which an agent reports. A message that is
// handed back with [ErrStopped] has not failed: it is delivered again at once, before all others,
// and its delivery does not count.
//
// [NewMemory] makes a Memory. Its fields must not be changed once it is in use. Its methods are
// safe for concurrent use, and several agents may receive from it.
type Memory struct {
	// Backoff is the wait before a message is delivered again. Its Tries is how often a message may
	// be delivered in all; 0 is 10, negative is no limit: a message that always fails is then
	// delivered forever.
	Backoff Backoff

	// MaxBody is how large the body of a message may be, in bytes; 0 is 1 MiB, negative is no
	// limit.
	MaxBody int64

	size   int
	source string // where it was made

	mu      sync.Mutex // guards the fields below
	ready   []*entry   // in the order of delivery
	waiting []*entry   // to be delivered again, the earliest first
	held    int        // messages not settled, including those being processed
	last    uint64     // the ID given last
	closed  bool
	changed chan struct{} // closed when any of these has changed; nil if nobody waits
}

// An entry is a message of a Memory.
type entry struct {
	id      string
	attempt int
	due     time.Time // when it is delivered again
	req     *proxy.Request
}

// NewMemory returns an empty queue with room for n messages, including those being processed and
// those that wait to be delivered again. An n below 1 is a fault of the queue, see [Memory.Fault].
func NewMemory(n int) *Memory { return &Memory{size: n, source: pipe.Here()} }

// Fault returns why the queue cannot be used, or nil if it can. The plan of a publisher shows the
// fault, and [New] refuses an agent with such a source.
func (q *Memory) Fault() error {
	switch {
	case q == nil:
		return errors.New("async: the Memory is nil")
	case q.size < 1:
		return fmt.Errorf("async: NewMemory: n is %d, want 1 or more", q.size)
	}
	return nil
}

// Publisher returns a proxy that puts each request into the queue, as a message of its own, and
// answers 202 without a document. The message has everything that the request has, including its
// method, path and params, and a copy of its body. The request must be able to replay that body.
//
// An error is a [*proxy.Error]: status 503 with [ErrFull] or [ErrClosed], 413 with [ErrTooLarge],
// or one that wraps proxy.ErrBodyNotReplayable.
func (q *Memory) Publisher() proxy.Proxy {
	step := pipe.Step{Mark: mark.Borrows(), Kind: "publish", Acts: pipe.In, State: q, Effects: pipe.Terminal | pipe.Buffers |
		pipe.NeedsReplay | pipe.NotIdempotent | pipe.HonoursContext | pipe.Stateful}
	if step.Err = q.Fault(); step.Err != nil {
		if q != nil {
			step.Source = q.source // the mistake is there
		}
		return pipe.Describe[*proxy.Request, *proxy.Response](nil, step)
	}
	step.Detail = fmt.Sprintf("memory, room for %d", q.size)
	return pipe.Describe(q.publish, step)
}

func (q *Memory) publish(ctx context.Context, req *proxy.Request) (*proxy.Response, error) {
	if err := ctx.Err(); err != nil {
		return nil, &proxy.Error{Op: "publish", Err: err}
	}
	if err := q.room(); err != nil { // before the body is copied
		return nil, err
	}
	message, err := req.Clone()
	if err != nil {
		return nil, &proxy.Error{Op: "publish", Err: err}
	}
	if message.Body != nil {
		defer message.Body.Close()
	}
	if err := load(message, orDefault(q.MaxBody, defaultMaxBody)); err != nil {
		return nil, &proxy.Error{Op: "publish", Err: err}
	}
	if err := q.put(message); err != nil {
		return nil, err
	}
	return &proxy.Response{Status: http.StatusAccepted}, nil
}

func (q *Memory) room() error {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.refusal()
}

// refusal returns why the queue cannot take a message. The lock is held.
func (q *Memory) refusal() error {
	switch {
	case q.closed:
		return &proxy.Error{Status: http.StatusServiceUnavailable, Op: "publish", Err: ErrClosed}
	case q.held >= q.size:
		return &proxy.Error{Status: http.StatusServiceUnavailable, Op: "publish", Err: ErrFull}
	}
	return nil
}

func (q *Memory) put(req *proxy.Request) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if err := q.refusal(); err != nil {
		return err
	}
	q.held++
	q.last++
	q.ready = append(q.ready, &entry{id: strconv.FormatUint(q.last, 10), req: req})
	q.wake()
	return nil
}

// wake lets all waiting receivers look again. The lock is held.
func (q *Memory) wake() {
	if q.changed != nil {
		close(q.changed)
		q.changed = nil
	}
}

// Len returns how many messages the queue holds, including those being processed.
func (q *Memory) Len() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.held
}

// Close makes the queue refuse new messages. The queue still delivers the messages it holds,
// including those handed back meanwhile. When none are left, Receive returns io.EOF.
func (q *Memory) Close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.wake()
}

// Receive waits for the next message; see [Source]. Each delivery has its own copy of the request.
// Only the first call of its Ack or Nack counts.
func (q *Memory) Receive(ctx context.Context) (Message, error) {
	if err := q.Fault(); err != nil {
		return Message{}, err
	}
	for {
		if err := ctx.Err(); err != nil {
			return Message{}, err
		}
		m, wait, err := q.next()
		if err != nil || wait == nil {
			return m, err
		}
		wait.until(ctx)
	}
}

// A wait is what a receiver waits for: a change, or the time at which a message is due again.
type wait struct {
	changed <-chan struct{}
	delay   time.Duration // 0 if no message is due
}

func (w *wait) until(ctx context.Context) {
	var due <-chan time.Time
	if w.delay > 0 {
		timer := time.NewTimer(w.delay)
		defer timer.Stop()
		due = timer.C
	}
	select {
	case <-w.changed:
	case <-due:
	case <-ctx.Done():
	}
}

func (q *Memory) next() (Message, *wait, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	now := time.Now()
	for len(q.waiting) > 0 && !q.waiting[0].due.After(now) {
		q.ready = append(q.ready, q.waiting[0])
		q.waiting = slices.Delete(q.waiting, 0, 1)
	}
	if len(q.ready) > 0 {
		e := q.ready[0]
		q.ready[0] = nil
		q.ready = q.ready[1:]
		m, err := q.deliver(e)
		return m, nil, err
	}
	if q.closed && q.held == 0 {
		return Message{}, nil, io.EOF
	}
	if q.changed == nil {
		q.changed = make(chan struct{})
	}
	w := &wait{changed: q.changed}
	if len(q.waiting) > 0 {
		w.delay = q.waiting[0].due.Sub(now)
	}
	return Message{}, w, nil
}

func (q *Memory) deliver(e *entry) (Message, error) {
	req, err := e.req.Clone()
	if err != nil {
		return Message{}, err // cannot happen: the body is in memory
	}
	e.attempt++
	var once sync.Once
	return Message{
		ID:      e.id,
		Attempt: e.attempt,
		Request: req,
		Ack: func(context.Context) error {
			once.Do(q.settled)
			return nil
		},
		Nack: func(_ context.Context, cause error) (err error) {
			once.Do(func() { err = q.again(e, cause) })
			return err
		},
	}, nil
}

func (q *Memory) settled() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.held--
	q.wake()
}

// again queues a message to be delivered again, or drops it.
func (q *Memory) again(e *entry, cause error) error {
	if isStopped(cause) {
		q.takeBack(e)
		return nil
	}
	tries := q.Backoff.Tries
	if tries == 0 {
		tries = defaultTries
	}
	if tries > 0 && e.attempt >= tries {
		q.settled()
		return fmt.Errorf("%w after %d deliveries", ErrGivenUp, e.attempt)
	}
	e.due = time.Now().Add(q.Backoff.Delay(e.attempt))
	q.mu.Lock()
	defer q.mu.Unlock()
	i, _ := slices.BinarySearchFunc(q.waiting, e, func(a, b *entry) int {
		if a.due.After(b.due) {
			return 1
		}
		return -1 // equal ones keep their order
	})
	q.waiting = slices.Insert(q.waiting, i, e)
	q.wake()
	return nil
}

func (q *Memory) takeBack(e *entry) {
	q.mu.Lock()
	defer q.mu.Unlock()
	e.attempt--
	q.ready = slices.Insert(q.ready, 0, e)
	q.wake()
}
