package proxytest

import (
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// A ServiceSpec describes a [Service]. The zero value is ready to use: it answers 200 without a body,
// at once.
type ServiceSpec struct {
	// Reply is the answer to every call, an [Answer]. Only its status, header, trailer and body
	// count: when it comes, and whether, is up to the fields below and to Faults.
	Reply Reply

	// Latency draws how long a worker is busy with a call. nil takes no time.
	Latency Latency

	// Workers is how many calls the service works on at a time. 0 means 100, and a negative Workers
	// is no limit.
	Workers int

	// Queue is how many calls wait for a worker, first come, first served. A call above that is
	// answered 503 at once. 0 means 1,000, and a negative Queue is no limit.
	Queue int

	// Deaf makes the service work on for callers that have left, as many services do. A worker is
	// then busy until the answer that nobody gets is ready. A call that hangs runs until the fault
	// is over.
	Deaf bool

	// Deadline is the header that says how many milliseconds the caller has left, as
	// policy.SendDeadline writes it. The service only compares it with the end of the call, for
	// ServiceStats.Late. "" compares with the deadline of the request's context, which only a
	// RoundTrip has.
	Deadline string

	// Seed is that of the random numbers. The nth call of two services with the same Seed takes as
	// long in both, and has the same luck with Faults.Errors.
	Seed uint64
}

const (
	defaultWorkers = 100
	defaultQueue   = 1000
)

// Faults are what is wrong with a [Service]. The zero value is a service that is well. Several
// faults at a time add up.
type Faults struct {
	// Latency is how much longer each call takes, an error too.
	Latency time.Duration

	// Errors is the share of the calls that are answered with Status, from 0 to 1. Such an answer
	// needs no worker and has no latency but that of Faults, as from a service that fails fast.
	Errors float64

	// Status is the status of Errors. 0 means 503.
	Status int

	// Workers is how many calls the service works on at a time instead of ServiceSpec.Workers. 0
	// changes nothing.
	Workers int

	// Hang keeps every call and its worker until the fault is over, or the caller has left.
	Hang bool

	// Crash refuses connections and breaks those that there are, as if the process had died. When
	// the fault is over, the service begins anew.
	Crash bool

	// Dead is a dead zone of the network: nothing arrives and nothing comes back until the fault is
	// over. Whoever dials or waits learns nothing.
	Dead bool

	// Cut breaks the connection after half of the body.
	Cut bool
}

// ServiceStats count the calls of a [Service].
type ServiceStats struct {
	Calls     int // that have arrived. Refused connections do not count
	Answered  int // whose answer was sent, Refused and errors too
	Refused   int // that found the queue full
	Abandoned int // whose caller left before there was an answer
	Broken    int // that a crash ended
	Late      int // that ended after the deadline of their caller, as far as that is known
	Running   int // now: those that are waited for, that wait, and that a Deaf service works on
	Most      int // that ran at once so far
}

// A Service is an upstream as there are in production: it has workers and a queue, takes its time,
// and can be made to fail while it runs. Its counts and times are exact inside a bubble of
// testing/synctest, where it costs little: tens of thousands of calls take a second or two.
//
// It is an [http.RoundTripper], in place of a transport, and an [http.Handler]. With [Network.Host]
// it runs on a network, where real transports dial it.
//
// Unlike an [Upstream], it keeps no record of its calls and only counts them. It is safe for
// concurrent use.
type Service struct {
	spec ServiceSpec

	injecting sync.Mutex // held while the faults of the hosts change
	hosts     []*serviceHost

	mu      sync.Mutex // guards what follows
	faults  Faults
	changed chan struct{} // closed when faults change
	crashed chan struct{} // closed when the service crashes
	busy    int           // workers
	queue   []chan struct{}
	stats   ServiceStats
}

// NewService returns a service without faults.
func NewService(s ServiceSpec) *Service {
	if s.Workers == 0 {
		s.Workers = defaultWorkers
	}
	if s.Queue == 0 {
		s.Queue = defaultQueue
	}
	return &Service{spec: s, changed: make(chan struct{}), crashed: make(chan struct{})}
}

// Stats returns the counts so far.
func (s *Service) Stats() ServiceStats {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stats
}

// Faults returns what is wrong with the service now.
func (s *Service) Faults() Faults {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.faults
}

// Heal ends all faults. It is Inject with the zero Faults.
func (s *Service) Heal() { s.Inject(Faults{}) }

// Inject replaces the faults of the service. They hold for the calls that are under way too, except
// for Latency, Errors and Status, which hold for those that arrive. On a [Network], Inject returns
// when its hosts have stopped or begun to listen.
func (s *Service) Inject(f Faults) {
	s.injecting.Lock()
	defer s.injecting.Unlock()
	s.mu.Lock()
	before := s.faults
	s.faults = f
	close(s.changed)
	s.changed = make(chan struct{})
	switch {
	case f.Crash && !before.Crash:
		close(s.crashed)
	case !f.Crash && before.Crash:
		s.crashed = make(chan struct{})
	}
	s.wake()
	s.mu.Unlock()
	for _, h := range s.hosts {
		h.apply(s, f)
	}
}

// HonoursContext says that RoundTrip returns when its context ends.
func (s *Service) HonoursContext() bool { return true }

// RoundTrip is a call in place of a transport. While the service has crashed, it is refused like a
// connection.
func (s *Service) RoundTrip(req *http.Request) (*http.Response, error) {
	ctx := req.Context()
	if req.Body != nil {
		defer req.Body.Close()
		if _, err := readUntil(ctx, req.Body); err != nil {
			return nil, err
		}
	}
	j := s.begin(ctx)
	if j == nil {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
	}
	j.deadline, _ = ctx.Deadline()
	r, err := j.reply()
	if err != nil {
		return nil, err
	}
	return r.response(req, r.newBody(ctx)), nil
}

// ServeHTTP is a call over HTTP.
func (s *Service) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	_, _ = io.Copy(io.Discard, req.Body)
	j := s.begin(req.Context())
	if j == nil {
		panic(http.ErrAbortHandler)
	}
	if ms, err := strconv.ParseInt(req.Header.Get(s.spec.Deadline), 10, 32); err == nil && s.spec.Deadline != "" {
		j.deadline = j.start.Add(time.Duration(ms+1) * time.Millisecond) // the header is rounded down
	}
	r, err := j.reply()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	r.write(w, req)
}
