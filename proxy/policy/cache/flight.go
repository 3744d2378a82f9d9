package cache

import (
	"context"
	"sync"
	"time"

	"github.com/sluice-go/sluice/internal/keys"
)

// leftAlone is how long calls are not shared after an answer that is not one for all.
const leftAlone = 10 * time.Second

// flightPatience is how long a caller waits for a stream that another caller reads.
const flightPatience = 500 * time.Millisecond

// flights are the calls that others may wait for, by the key of what they ask for.
type flights struct {
	limit int // negative is none

	mu    sync.Mutex // guards what follows, and the fields of flights that say so
	under map[string]*flight
	alone keys.Alone[string]
}

func (fs *flights) init(limit int) {
	fs.limit, fs.under = limit, map[string]*flight{}
	fs.alone.Init(limit, leftAlone)
}

// A flight is a call that others may wait for.
type flight struct {
	of      *flights
	key     string
	landed  chan struct{} // closed when the outcome is known
	waiting int           // guarded by flights.mu
	read    chan struct{} // closed when a client reads the answer

	outcome outcome // set before landed is closed
}

// An outcome is what became of a flight. The zero value is an answer that is not one for all.
type outcome struct {
	entry *Entry   // the answer, if it is one for all
	key   string   // of the entry; of an error that by all that leaves take
	names []string // by which it varies
	err   error    // why there is none
	again bool     // its caller has left: another one may begin
}

// join returns the flight with a key, and whether the caller is the one to begin it. It returns nil
// if the call is not to be shared.
func (fs *flights) join(key string) (f *flight, leads bool) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if f := fs.under[key]; f != nil {
		f.waiting++
		return f, false
	}
	if fs.alone.Has(key) || fs.limit > 0 && len(fs.under) >= fs.limit {
		return nil, false
	}
	return fs.begin(key), true
}

// lead returns a new flight with a key, or nil if there is one or if there is no room.
func (fs *flights) lead(key string) *flight {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if fs.under[key] != nil || fs.limit > 0 && len(fs.under) >= fs.limit {
		return nil
	}
	return fs.begin(key)
}

func (fs *flights) begin(key string) *flight {
	f := &flight{of: fs, key: key, landed: make(chan struct{}), read: make(chan struct{})}
	fs.under[key] = f
	return f
}

// land tells those who wait what became of the flight. Only the first call has an effect. It may be
// called on nil.
func (f *flight) land(o outcome) {
	if f == nil {
		return
	}
	f.of.mu.Lock()
	defer f.of.mu.Unlock()
	select {
	case <-f.landed:
		return
	default:
	}
	f.leave()
	if o.entry == nil && o.err == nil && !o.again {
		f.of.alone.Add(f.key)
	}
	f.outcome = o
	close(f.landed)
}

// leave lets the next caller begin a flight of its own. The caller holds flights.mu.
func (f *flight) leave() {
	if f.of.under[f.key] == f {
		delete(f.of.under, f.key)
	}
}

// awaited reports whether somebody waits for the flight.
func (f *flight) awaited() bool {
	if f == nil {
		return false
	}
	f.of.mu.Lock()
	defer f.of.mu.Unlock()
	return f.waiting > 0
}

// wait waits for the outcome, and no longer than ctx. If the answer is a stream that somebody reads
// slowly, the caller is told to call alone, and so are those who come later.
func (f *flight) wait(ctx context.Context) (outcome, error) {
	select {
	case <-f.landed:
		return f.outcome, nil
	case <-ctx.Done():
		return outcome{}, ctx.Err()
	case <-f.read:
	}
	patience := time.NewTimer(flightPatience)
	defer patience.Stop()
	select {
	case <-f.landed:
		return f.outcome, nil
	case <-ctx.Done():
		return outcome{}, ctx.Err()
	case <-patience.C:
	}
	f.of.mu.Lock()
	defer f.of.mu.Unlock()
	f.leave()
	return outcome{}, nil
}

// reads says that the answer has come and that the client of its caller reads it now.
func (f *flight) reads() {
	if f != nil {
		close(f.read)
	}
}
