package policy

import (
	"fmt"
	"math"
	"math/bits"
	"time"
)

// A Rate is how many calls [LimitBy] allows in which time. [PerSecond], [PerMinute] and [PerHour]
// return one whose burst is the calls of that time.
type Rate struct {
	// Events is how many calls come back in the time Per, evenly: of 5 per second one every 200 ms.
	// There is no default.
	Events int

	// Per is that time. 0 is a second.
	Per time.Duration

	// Burst is how many calls may come at once after a pause; it is not added to Events. 0 is
	// Events.
	Burst int
}

// PerSecond returns a rate of n calls in a second, all of which may come at once.
func PerSecond(n int) Rate { return Rate{Events: n, Per: time.Second} }

// PerMinute returns a rate of n calls in a minute, all of which may come at once.
func PerMinute(n int) Rate { return Rate{Events: n, Per: time.Minute} }

// PerHour returns a rate of n calls in an hour, all of which may come at once.
func PerHour(n int) Rate { return Rate{Events: n, Per: time.Hour} }

// String returns the rate as in "5/s, burst 20".
func (r Rate) String() string {
	r = r.withDefaults()
	per := " in " + r.Per.String()
	switch r.Per {
	case time.Second:
		per = "/s"
	case time.Minute:
		per = "/min"
	case time.Hour:
		per = "/h"
	}
	return fmt.Sprintf("%d%s, burst %d", r.Events, per, r.Burst)
}

func (r Rate) withDefaults() Rate {
	if r.Per == 0 {
		r.Per = time.Second
	}
	if r.Burst == 0 {
		r.Burst = r.Events
	}
	return r
}

// faults returns what is wrong with the rate.
func (r Rate) faults() (faults []string) {
	if r.Events < 1 {
		faults = append(faults, fmt.Sprintf("Events is %d, want 1 or more", r.Events))
	}
	if r.Per < 0 {
		faults = append(faults, fmt.Sprintf("Per is %v, want 0 or more", r.Per))
	}
	if r.Burst < 0 {
		faults = append(faults, fmt.Sprintf("Burst is %d, want 0 or more", r.Burst))
	}
	if faults != nil {
		return faults
	}
	if most := mostBurst(r.withDefaults()); r.withDefaults().Burst > most {
		faults = append(faults, fmt.Sprintf("Burst is %d, want at most %d", r.withDefaults().Burst, most))
	}
	return faults
}

// mostBurst returns the largest burst that a gcra can count.
func mostBurst(r Rate) int {
	cost := uint64(r.Per) / gcd(uint64(r.Per), uint64(r.Events))
	return int(min(uint64(math.MaxInt64/4)/cost, math.MaxInt))
}

func gcd(a, b uint64) uint64 {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

// A gcra counts calls at a rate by the generic cell rate algorithm (ITU-T I.371), which is a bucket
// that leaks: a call adds its cost, time drains it, and no call may make it run over. All of it is
// whole numbers, so that no rounding ever adds or loses a call.
type gcra struct {
	cost  uint64 // of a call
	drain uint64 // in a nanosecond
	most  uint64 // what the bucket holds
	fill  int64  // how many nanoseconds a full bucket takes to drain
}

// newGCRA returns the gcra of a rate without faults.
func newGCRA(r Rate) gcra {
	r = r.withDefaults()
	common := gcd(uint64(r.Per), uint64(r.Events))
	g := gcra{cost: uint64(r.Per) / common, drain: uint64(r.Events) / common}
	g.most = uint64(r.Burst) * g.cost
	g.fill = g.time(g.most)
	return g
}

// A level is what is in one bucket.
type level struct {
	debt uint64
	at   int64 // when that was so, in nanoseconds
}

// time returns how many nanoseconds a debt takes to drain, rounded up.
func (g *gcra) time(debt uint64) int64 {
	t, rest := bits.Div64(0, debt, g.drain)
	if rest > 0 {
		t++
	}
	return int64(t)
}

// freshAt returns when the level equals that of a bucket which nobody has used.
func (g *gcra) freshAt(l level) int64 { return l.at + g.time(l.debt) }

// take adds n calls to the level, if it has room for them.
func (g *gcra) take(l *level, now int64, n uint64) Grant {
	if passed := now - l.at; passed > 0 {
		l.at = now
		if passed >= g.fill { // else the product would overflow
			l.debt = 0
		} else {
			l.debt -= min(l.debt, uint64(passed)*g.drain)
		}
	}
	grant := Grant{OK: l.debt+n*g.cost <= g.most}
	if grant.OK {
		l.debt += n * g.cost
	}
	grant.Remaining = int((g.most - l.debt) / g.cost)
	if grant.Remaining == 0 {
		grant.After = time.Duration(g.time(l.debt + g.cost - g.most))
	}
	grant.Full = time.Duration(g.time(l.debt))
	return grant
}
