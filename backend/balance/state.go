package balance

import (
	"encoding/json"
	"time"
)

// A PoolState says how a pool is. Its JSON form is meant for operators; the names of members stay.
type PoolState struct {
	Hosts []HostState // by priority and address

	// Panic says that too few hosts are up, so that all get calls; see [Spec.Panic].
	Panic bool

	// Running says that [Pool.Run] runs. If it does not, the hosts stay those of the first answer,
	// and there are no probes.
	Running bool

	// Resolved is when the resolver named the hosts; zero if it has not yet.
	Resolved time.Time

	// Err is what is wrong with the last answer of the resolver. If it is not nil, the hosts may be
	// those of an earlier answer. Of a pool that has one, it is the [Pool.Fault].
	Err error
}

// MarshalJSON returns the state as an object with the members hosts, panic, running, resolved and
// error. The last two are left out if there is nothing to tell.
func (s PoolState) MarshalJSON() ([]byte, error) {
	shown := struct {
		Hosts    []HostState `json:"hosts"`
		Panic    bool        `json:"panic"`
		Running  bool        `json:"running"`
		Resolved time.Time   `json:"resolved,omitzero"`
		Error    string      `json:"error,omitzero"`
	}{append([]HostState{}, s.Hosts...), s.Panic, s.Running, s.Resolved, ""}
	if s.Err != nil {
		shown.Error = s.Err.Error()
	}
	return json.Marshal(shown)
}

// A HostState says how a host of a pool is.
type HostState struct {
	Host

	State State
	Why   string    // why it is not up; "" if it is
	Until time.Time // when its ejection or its slow start ends; otherwise zero

	// Load is how many calls are in flight: from their start until the body of the answer is
	// closed.
	Load int

	// Latency is how long recent calls have waited for the header of an answer, or for their end if
	// they have failed later than that: a peak, which halves in 7 s. A host that is back begins
	// with the mean of all. 0 means that no call tells.
	Latency time.Duration

	// Penalty is how slow a Picker takes the host to be at least, whatever its Latency, because calls
	// have failed or were given up. It halves in 7 s. A failure that may still lead to an ejection
	// makes it the mean of all hosts: a host that fails soon does not look quick. One of a host that
	// cannot be ejected doubles it, and so does a call that was given up, up to 30 s or the time that
	// they took. 0 is none.
	Penalty time.Duration

	// GivenUp is how many calls since its last answer were given up by their callers after more than
	// the usual time, as those that lost a hedge.
	GivenUp int
}

// MarshalJSON returns the state as an object with the members address, weight, priority, state, why,
// until, load, latency, penalty and givenUp. Times that a host took are text such as "1.5s". What is
// zero is left out, but for state, weight, priority and load.
func (s HostState) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Address  string    `json:"address"`
		Weight   int       `json:"weight"`
		Priority int       `json:"priority"`
		State    State     `json:"state"`
		Why      string    `json:"why,omitzero"`
		Until    time.Time `json:"until,omitzero"`
		Load     int       `json:"load"`
		Latency  string    `json:"latency,omitzero"`
		Penalty  string    `json:"penalty,omitzero"`
		GivenUp  int       `json:"givenUp,omitzero"`
	}{s.Address, s.Weight, s.Priority, s.State, s.Why, s.Until, s.Load, timeText(s.Latency), timeText(s.Penalty), s.GivenUp})
}

// timeText returns a duration as text, or "" if it is 0.
func timeText(d time.Duration) string {
	if d == 0 {
		return ""
	}
	return d.String()
}

// A State is what a pool knows of a host.
type State string

// The states of a host.
const (
	Up        State = "up"         // it gets calls
	SlowStart State = "slow-start" // it is back, or new, and gets fewer calls first
	Ejected   State = "ejected"    // too many calls have failed
	Down      State = "down"       // its probes have failed
)
