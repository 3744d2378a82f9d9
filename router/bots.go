package router

import (
	"errors"
	"fmt"
	"hash/maphash"
	"math/rand/v2"
	"net/http"
	"regexp"
	"strings"
	"sync/atomic"

	"github.com/sluice-go/sluice/pipe"
)

// ErrBot is why [Bots] refuses a request.
var ErrBot = errors.New("the user agent is not admitted")

// The limits of [Bots].
const (
	DefaultMaxAgents = 4096 // user agents whose verdict is remembered
	maxAgent         = 1024 // bytes of a user agent; browsers send a few hundred
)

// A BotsSpec says which user agents [Bots] refuses, by exact text or by a pattern.
type BotsSpec struct {
	RefuseEmpty bool // whether a request without a User-Agent, or with an empty one, is refused

	// Allow are user agents that are admitted whatever Deny and Patterns say, and Deny are user agents that
	// are refused. They are compared byte for byte.
	Allow []string
	Deny  []string

	// Patterns are regular expressions (RE2, see regexp/syntax). A user agent that matches one of them is
	// refused. A pattern matches anywhere in the user agent unless it is anchored: "^BadBot",
	// "(?i)crawler".
	Patterns []string

	// MaxAgents is how many user agents are remembered with their verdict, so that the patterns need not be
	// matched again. 0 is [DefaultMaxAgents], and with a negative MaxAgents none is remembered. Above it, a
	// new user agent takes the place of another. Each takes up to 1 KiB.
	MaxAgents int
}

// Bots returns a middleware that refuses requests by their User-Agent, with 403; the error wraps [ErrBot].
// A User-Agent of more than 1 KiB is refused without matching the patterns. So are several User-Agent
// fields, because nobody could say which one counts. A client can send any user agent, so Bots does not
// protect against a client that means harm.
//
// The table of verdicts belongs to the returned value, which is safe for concurrent use. A user agent in
// the table costs one lookup and no allocation; any other is matched against one pattern after another. A
// pattern that is empty or does not compile is a fault in the plan, and so is a Spec that refuses nothing.
func Bots(s BotsSpec) func(http.Handler) http.Handler {
	b, faults := botsOf(s)
	step := pipe.Step{Kind: "bots", Detail: s.detail(), Acts: pipe.In, Effects: pipe.Validates | pipe.Stateful, State: b,
		Takes: []string{"User-Agent"}}
	return described(step, faults, func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if b.refuses(r.Header["User-Agent"]) {
			refuse(w, r, "bots", http.StatusForbidden, ErrBot)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func (s BotsSpec) detail() string {
	empty := "an empty agent passes"
	if s.RefuseEmpty {
		empty = "no empty agent"
	}
	return fmt.Sprintf("%s, allow %d, deny %d, patterns %d", empty, len(s.Allow), len(s.Deny), len(s.Patterns))
}

// bots are the rules of a BotsSpec.
type bots struct {
	refuseEmpty bool
	listed      map[string]bool // whether it is refused
	patterns    []*regexp.Regexp
	known       agents
}

func botsOf(s BotsSpec) (*bots, []error) {
	b := &bots{refuseEmpty: s.RefuseEmpty, listed: map[string]bool{}, known: agentsOf(s.MaxAgents)}
	var faults []error
	for _, agent := range s.Deny {
		b.listed[agent] = true
	}
	for _, agent := range s.Allow {
		b.listed[agent] = false
	}
	for i, pattern := range s.Patterns {
		if pattern == "" {
			faults = append(faults, fmt.Errorf("router: Bots: pattern %d is empty, so everybody would be refused", i+1))
			continue
		}
		compiled, err := regexp.Compile(pattern)
		if err != nil {
			faults = append(faults, fmt.Errorf("router: Bots: pattern %d: %w", i+1, err))
			continue
		}
		b.patterns = append(b.patterns, compiled)
	}
	if !s.RefuseEmpty && len(s.Deny)+len(s.Patterns) == 0 {
		faults = append(faults, errors.New("router: Bots: the Spec refuses nothing"))
	}
	return b, faults
}

// refuses reports whether a request with these User-Agent lines is refused.
func (b *bots) refuses(lines []string) bool {
	if len(lines) > 1 {
		return true
	}
	agent := ""
	if len(lines) == 1 {
		agent = lines[0]
	}
	if refused, ok := b.listed[agent]; ok {
		return refused
	}
	switch {
	case strings.Trim(agent, " \t") == "":
		return b.refuseEmpty
	case len(agent) > maxAgent:
		return true
	case len(b.patterns) == 0:
		return false
	}
	refused, ok := b.known.get(agent)
	if !ok {
		refused = b.matches(agent)
		b.known.put(agent, refused)
	}
	return refused
}

func (b *bots) matches(agent string) bool {
	for _, pattern := range b.patterns {
		if pattern.MatchString(agent) {
			return true
		}
	}
	return false
}

// agents is a table of user agents with their verdicts, of a fixed size: each has its bucket, of
// a few places, where it may take that of another. A seed keeps clients from choosing the bucket.
type agents struct {
	seed    maphash.Seed
	buckets [][bucketSize]atomic.Pointer[agentVerdict]
}

const bucketSize = 4

type agentVerdict struct {
	agent   string
	refused bool
}

func agentsOf(size int) agents {
	if size == 0 {
		size = DefaultMaxAgents
	}
	return agents{seed: maphash.MakeSeed(), buckets: make([][bucketSize]atomic.Pointer[agentVerdict], (max(size, 0)+bucketSize-1)/bucketSize)}
}

func (t *agents) bucket(agent string) *[bucketSize]atomic.Pointer[agentVerdict] {
	return &t.buckets[maphash.String(t.seed, agent)%uint64(len(t.buckets))]
}

func (t *agents) get(agent string) (refused, ok bool) {
	if len(t.buckets) == 0 {
		return false, false
	}
	bucket := t.bucket(agent)
	for i := range bucket {
		if known := bucket[i].Load(); known != nil && known.agent == agent {
			return known.refused, true
		}
	}
	return false, false
}

func (t *agents) put(agent string, refused bool) {
	if len(t.buckets) == 0 {
		return
	}
	verdict := &agentVerdict{strings.Clone(agent), refused} // the field may be part of a larger text
	bucket := t.bucket(agent)
	for i := range bucket {
		if bucket[i].CompareAndSwap(nil, verdict) {
			return
		}
	}
	bucket[rand.IntN(bucketSize)].Store(verdict)
}
