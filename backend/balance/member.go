package balance

import (
	"context"
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluice-go/sluice/internal/call"
)

// A member is a host of a pool and all that is known about it.
type member struct {
	pool      *Pool
	transport transport
	address   string
	hash      uint64

	load   atomic.Int64  // calls in flight
	oldest atomic.Int64  // when the oldest call that waits for its answer began, or 0
	ramp   atomic.Int64  // when its slow start began, or 0
	share  atomic.Uint64 // its weight in relation to the mean, as a float64
	gone   atomic.Bool
	latest latency // how long calls have waited

	penalty latency      // how slow the host looks because calls have failed
	unheard atomic.Int64 // calls that were given up since the last answer
	suspect latency      // how slow the host looks because of them

	mu          sync.Mutex // guards the calls and counts below
	first, last *flight    // that wait for their answer, by start
	row         int        // failures in a row
	from        int64      // calls that began earlier do not count
	counts      [windowSteps]count

	host      Host // guarded by the pool's mu, as is what follows
	shown     State
	upSince   int64 // when it came, or when it was back
	ejected   int64 // until when; 0 if it is not
	ejections int
	because   string // why it is ejected, or in its slow start
	down      string // why its probes have failed; "" if it is not down
	probed    int    // how many probes in a row said another thing

	probing *call.Bound // of a probe that ignores its context
}

const windowSteps = 10

// A count is what became of the calls in one step of the window.
type count struct {
	step       int64
	ok, failed int
}

// up reports whether the host gets calls. The caller holds p.mu, as for all until show.
func (m *member) up(now int64) bool { return m.down == "" && m.ejected <= now }

// settle ends what is over.
func (m *member) settle(now int64) {
	slow := int64(m.pool.spec.SlowStart)
	if m.ejected != 0 && m.ejected <= now {
		m.ejected = 0
		m.back(now)
	}
	if ramp := m.ramp.Load(); ramp != 0 && now-ramp >= slow {
		m.ramp.Store(0)
	}
}

// back begins the slow start of a host that is back.
func (m *member) back(now int64) {
	m.upSince, m.because = now, "it is back"
	m.latest.set(now, m.pool.typical.at(now)) // what made it fail is over
	m.penalty.set(now, 0)
	if m.pool.spec.SlowStart > 0 {
		m.ramp.Store(now)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.row = max(m.pool.spec.Failures-1, 0) // its next failure is one too many
	m.from = now
	clear(m.counts[:])
}

// until returns when the state of the host changes by itself.
func (m *member) until() int64 {
	switch ramp := m.ramp.Load(); {
	case m.ejected != 0:
		return m.ejected
	case ramp != 0:
		return ramp + int64(m.pool.spec.SlowStart)
	}
	return forever
}

func (m *member) state(now int64) State {
	switch {
	case m.down != "":
		return Down
	case m.ejected > now:
		return Ejected
	case m.ramp.Load() != 0:
		return SlowStart
	}
	return Up
}

func (m *member) why(s State) string {
	switch s {
	case Down:
		return m.down
	case Ejected, SlowStart:
		return m.because
	}
	return ""
}

// show returns the state for the user.
func (m *member) show(now int64) HostState {
	s := HostState{Host: m.host, State: m.state(now), Load: int(m.load.Load()), Latency: time.Duration(m.latest.at(now)),
		Penalty: time.Duration(m.suspicion(now)), GivenUp: int(m.unheard.Load())}
	s.Why = m.why(s.State)
	if until := m.until(); until != forever && s.State != Down {
		s.Until = m.pool.timeOf(until)
	}
	return s
}

// begin counts a call in.
func (m *member) begin(f *flight) {
	m.load.Add(1)
	if f.upload != nil && !f.upload.replays { // how long it takes depends on the client
		return
	}
	f.waits = true
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.last == nil {
		m.first = f
		m.oldest.Store(f.start)
	} else {
		f.prev, m.last.next = m.last, f
	}
	m.last = f
}

// answered takes a call from those that wait. It reports whether the time that it has waited is a
// sample of the latency.
func (m *member) answered(f *flight) (sample bool) {
	if !f.waits {
		return false
	}
	f.waits = false
	m.mu.Lock()
	defer m.mu.Unlock()
	if f.prev != nil {
		f.prev.next = f.next
	} else {
		m.first = f.next
		m.oldest.Store(m.first.began())
	}
	if f.next != nil {
		f.next.prev = f.prev
	} else {
		m.last = f.prev
	}
	f.prev, f.next = nil, nil
	return f.start >= m.from
}

// end counts a call out.
func (m *member) end() {
	if m.load.Add(-1) == 0 {
		m.rest()
	}
}

// rest is called when a connection may be idle. A host that left keeps none.
func (m *member) rest() {
	if m.gone.Load() {
		m.transport.CloseIdleConnections()
	}
}

// succeeded counts a call that has succeeded.
func (m *member) succeeded(start int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if start >= m.from {
		m.row = 0
		m.count(m.pool.now()).ok++
	}
}

// failed counts a call that has failed, and ejects the host if it is one too many.
func (m *member) failed(ctx context.Context, start, took int64) {
	why, counts := m.countFailure(start, took)
	switch {
	case !counts:
	case why == "" && m.pool.spec.ejects(): // it keeps its share, so that it is soon known whether it has to go
	case why == "" || !m.pool.eject(ctx, m, why):
		m.slower()
	}
}

// countFailure counts a failure, unless it is one of before the host was back. It returns why the host
// should be ejected, or "".
func (m *member) countFailure(start, took int64) (why string, counts bool) {
	now := m.pool.now()
	m.mu.Lock()
	defer m.mu.Unlock()
	if start < m.from {
		return "", false
	}
	m.row++
	m.count(now).failed++
	m.slow(now, took)
	return m.tooMany(now), true
}

// count returns the count of the step that now is in.
func (m *member) count(now int64) *count {
	step := m.step(now)
	c := &m.counts[step%windowSteps]
	if c.step != step {
		*c = count{step: step}
	}
	return c
}

func (m *member) step(now int64) int64 { return now / max(int64(m.pool.spec.Window)/windowSteps, 1) }

// tooMany returns why the host should be ejected, or "".
func (m *member) tooMany(now int64) string {
	s := &m.pool.spec
	if s.Failures > 0 && m.row >= s.Failures {
		if m.row == 1 {
			return "1 failure"
		}
		return fmt.Sprintf("%d failures in a row", m.row)
	}
	ok, failed := 0, 0
	for _, c := range m.counts {
		if c.step > m.step(now)-windowSteps {
			ok, failed = ok+c.ok, failed+c.failed
		}
	}
	if s.FailureRatio > 0 && ok+failed >= s.MinCalls && float64(failed) >= s.FailureRatio*float64(ok+failed) {
		return fmt.Sprintf("%d of %d calls failed", failed, ok+failed)
	}
	return ""
}

// observe takes how long a call has waited for its answer.
func (m *member) observe(now, took int64) {
	m.unheard.Store(0)
	m.latest.peak(now, took)
	m.pool.typical.mean(now, took)
}

// gaveUp takes a call that its caller has given up after it had waited so long, such as the loser of a
// hedge. The answer would have taken longer, and nobody knows how much, so that is no sample of the
// latency. But each such call since the last answer makes the host look twice as slow as the one before
// it. A call that was given up before an answer was due says nothing.
func (m *member) gaveUp(now, took int64) {
	if took <= m.pool.typical.at(now) {
		return
	}
	longer := min(took<<min(m.unheard.Add(1)-1, maxDoubled), max(took, maxPenalty))
	if longer > m.suspect.at(now) {
		m.suspect.set(now, longer)
	}
}

// maxDoubled is how often gaveUp doubles.
const maxDoubled = 10

// slow takes how long a failure took. It never makes the host look quicker than the others.
func (m *member) slow(now, took int64) {
	m.penalty.set(now, max(m.penalty.at(now), min(m.pool.typical.at(now), maxPenalty)))
	if took > m.latest.at(now) {
		m.latest.set(now, took)
	}
}

// slower makes a host look slower with each failure, because it cannot be ejected.
func (m *member) slower() {
	now := m.pool.now()
	m.mu.Lock()
	defer m.mu.Unlock()
	worse := 2 * max(m.penalty.at(now), m.latest.at(now), m.pool.typical.at(now), int64(time.Millisecond))
	m.penalty.set(now, min(worse, maxPenalty))
}

// maxPenalty is how slow failures that take no time make a host look at most.
const maxPenalty = int64(30 * time.Second)

// suspicion is how slow the host looks for other reasons than the answers that it has given.
func (m *member) suspicion(now int64) int64 {
	t := m.penalty.at(now)
	if m.unheard.Load() > 0 {
		t = max(t, m.suspect.at(now))
	}
	return t
}

// cost is how long a further call is likely to take, for its weight.
func (m *member) cost(now int64) float64 {
	t := max(m.latest.at(now), m.suspicion(now))
	if oldest := m.oldest.Load(); oldest != 0 {
		t = max(t, now-oldest)
	}
	load := float64(m.load.Load()) / math.Float64frombits(m.share.Load())
	return float64(t+int64(time.Microsecond)) * (1 + load)
}

// A latency is a moving average of times in nanoseconds. It is safe for concurrent use, and an
// update that is lost to another one at the same time does not matter.
type latency struct{ value, when atomic.Int64 }

// halfLife is how fast a latency forgets: it halves within it.
const halfLife = 7 * time.Second

// faded returns how much is left after some time: half of it after each half-life, and in between
// what is on the line from one of these to the next.
func faded(v float64, after int64) float64 {
	halvings := min(after/int64(halfLife), 62)
	rest := float64(after%int64(halfLife)) / float64(halfLife)
	return v / float64(int64(1)<<halvings) * (1 - rest/2)
}

// at returns the value now, which falls towards 0 while there is no sample: so a host that was slow is
// tried again at some time.
func (l *latency) at(now int64) int64 {
	v := l.value.Load()
	if v == 0 {
		return 0
	}
	return int64(faded(float64(v), max(now-l.when.Load(), 0)))
}

func (l *latency) set(now, v int64) {
	l.value.Store(v)
	l.when.Store(now)
}

// peak takes a sample: a higher one at once, a lower one by and by.
func (l *latency) peak(now, sample int64) {
	v := l.value.Load()
	if sample >= v {
		l.set(now, sample)
		return
	}
	keep := faded(1, max(now-l.when.Load(), 0))
	l.set(now, int64(float64(v)*keep+float64(sample)*(1-keep)))
}

// mean takes a sample, each of which counts as much: the value is the mean of about the last 64.
func (l *latency) mean(now, sample int64) {
	v := l.value.Load()
	if v == 0 {
		v = sample
	}
	l.set(now, v+(sample-v)/64)
}
