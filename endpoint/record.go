package endpoint

import (
	"context"
	"net/http"
	"sync"

	"github.com/sluice-go/sluice/proxy"
)

// A Record holds what is known of a request and its answer, for code around an endpoint, such as an access
// log. The handler or middleware that answers fills it in. It is safe for concurrent use.
//
//	r, record := endpoint.WithRecord(r)
//	next.ServeHTTP(w, r)
//	entry := record.Entry() // who called, and what became of it
type Record struct {
	mu    sync.Mutex
	entry Entry // guarded by mu
}

// An Entry is what a [Record] holds. A field whose value is not known is zero.
type Entry struct {
	ID     string        // of the request; see [RequestID]
	Route  string        // the pattern that matched
	Caller *proxy.Caller // as [Identify] has set it; nil is nobody
	Client Client        // where the request comes from
	Status int           // of the answer; 499 if the client left before it
	Bytes  int64         // of the body of the answer, as they were handed to net/http

	// Err is why the request failed, or what a partial answer lacks; nil if nothing failed. It is for logs,
	// not for clients.
	Err error
}

// WithRecord returns a request with a Record, which the code that answers the request fills in. If r has a
// Record already, WithRecord returns r and that Record.
func WithRecord(r *http.Request) (*http.Request, *Record) {
	if record := RecordOf(r.Context()); record != nil {
		return r, record
	}
	record := new(Record)
	return r.WithContext(context.WithValue(r.Context(), recordKey{}, record)), record
}

// RecordOf returns the Record of a request. The context of a pipe that an endpoint has called always has
// one. Elsewhere it is nil unless [WithRecord] has made one.
func RecordOf(ctx context.Context) *Record {
	record, _ := ctx.Value(recordKey{}).(*Record)
	return record
}

// Entry returns what is known so far. For a nil Record it is the zero Entry.
func (r *Record) Entry() Entry {
	if r == nil {
		return Entry{}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.entry
}

// Fail notes why a request failed, for code that fails it without [WriteError], for example by ending the
// connection of an answer that has begun. The first error stays. A nil Record keeps nothing.
func (r *Record) Fail(err error) {
	r.change(func(e *Entry) {
		if e.Err == nil {
			e.Err = err
		}
	})
}

func (r *Record) change(f func(*Entry)) {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	f(&r.entry)
}

type recordKey struct{}

// Identify says who makes a request: it sets req.Caller, and notes the caller in the [Record] of the
// request, which the access log and Spec.Report read. A decorator that has verified a caller calls Identify
// before the next proxy. Setting only req.Caller is not enough, because a decorator may have a copy of the
// request, and then only the pipe would know.
//
// The Caller must not be changed afterwards. A nil c means that there is no caller.
func Identify(ctx context.Context, req *proxy.Request, c *proxy.Caller) {
	req.Caller = c
	RecordOf(ctx).change(func(e *Entry) { e.Caller = c })
}
