package redis

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/sluice-go/sluice/internal/mark"
	"github.com/sluice-go/sluice/proxy/policy"
)

// A Quotas keeps the counts of policy.Quota in Redis. It is a policy.Quotas, and safe for concurrent
// use.
//
// A call costs one script, which asks the clock of the Redis server which window it is. So the clocks of
// the processes decide nothing, but a clock that is off by more than a window makes all calls fail, and a
// failed call is denied. If the clock of the server is set back, the current window of a key stays.
//
// The key of a count is the prefix, "quota:" and a hash of the quota's name, window, time zone and key. It
// expires an hour after its window. If the limit of a quota changes, what was used still counts. A value
// there that is not a count stands for a quota that is used up.
//
// A count that Redis has lost, as [Buckets] says, starts again at 0. For a quota of a day or longer, Redis
// should keep its data over a restart, with an append-only file.
//
// A call that failed may have been counted.
type Quotas struct {
	server *server
	spend  *goredis.Script
}

//go:embed spend.lua
var spendScript string

// NewQuotas returns counts in the Redis of s. What is wrong with s is a fault: see [Quotas.Fault].
func NewQuotas(s Spec) *Quotas {
	return &Quotas{server: newServer(s, s.fault()), spend: goredis.NewScript(spendScript)}
}

// Fault returns what is wrong with the spec, or nil. A quota that uses the counts shows it in its plan.
func (q *Quotas) Fault() error { return q.server.fault }

// Mark says that the counts are part of sluice, and return when their time is over.
func (q *Quotas) Mark() mark.Type { return mark.TypeOf[*Quotas]() }

// Waits returns the longest time that [Quotas.Spend] takes; a negative time is no limit.
func (q *Quotas) Waits() time.Duration { return q.server.Timeout }

const (
	maxUnits   = 1 << 51 // so that two of them can be added in a float64
	keptLonger = 3600    // seconds, in case the clock is set back over the end of a window
)

var errClock = errors.New("redis: the clock of the server is not in the window of this process, nor in the one before or after")

// Spend counts units of a key; see policy.Quotas. Its error wraps [ErrPaused] if Redis was not asked, and
// is that of ctx if ctx has ended.
func (q *Quotas) Spend(ctx context.Context, key string, n, limit int, windows [3]policy.Period) (policy.Grant, error) {
	if n < 1 || limit < 1 || int64(n) > maxUnits || int64(limit) > maxUnits {
		return policy.Grant{}, fmt.Errorf("redis: %d of %d units cannot be counted", n, limit)
	}
	args := []any{windows[0].Start.Unix(), windows[1].Start.Unix(), windows[2].Start.Unix(), windows[2].End.Unix(), keptLonger, n, limit}
	reply, err := ask(ctx, q.server, func(ctx context.Context) (spent, error) {
		reply, err := q.spend.Run(ctx, q.server.Client, []string{q.key(key)}, args...).Int64Slice()
		if err != nil {
			return spent{}, err
		}
		return newSpent(reply)
	})
	if err != nil {
		return policy.Grant{}, err
	}
	if reply.astray {
		return policy.Grant{}, errClock
	}
	return reply.grant(int64(limit)), nil
}

func (q *Quotas) key(key string) string { return q.server.key("quota:", key) }

// A spent is what the script answers.
type spent struct {
	ok, astray bool // astray: the time is in none of the windows
	used       int64
	left       time.Duration
}

var errSpent = errors.New("the script has answered something else than a count")

const maxLeft = 400 * 24 * time.Hour // more than three months

func newSpent(reply []int64) (spent, error) {
	if len(reply) != 3 || reply[0] < -1 || reply[0] > 1 {
		return spent{}, errSpent
	}
	if reply[0] == -1 {
		return spent{astray: true}, nil
	}
	if reply[1] < 0 || reply[2] < 0 || reply[2] > maxLeft.Microseconds() {
		return spent{}, errSpent
	}
	return spent{ok: reply[0] == 1, used: reply[1], left: time.Duration(reply[2]) * time.Microsecond}, nil
}

func (s spent) grant(limit int64) policy.Grant {
	g := policy.Grant{OK: s.ok, Remaining: int(max(limit-s.used, 0)), Full: s.left}
	if !g.OK || g.Remaining == 0 {
		g.After = s.left
	}
	return g
}
