package redis

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"math"
	"math/bits"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/sluice-go/sluice/internal/mark"
	"github.com/sluice-go/sluice/proxy/policy"
)

// A Buckets keeps the buckets of policy.LimitBy in Redis. It is a policy.Buckets, and safe for
// concurrent use.
//
// A call costs one script, which asks the clock of the server: those of the processes do not matter.
// The grants are those of a limit in memory, exactly, for times in whole microseconds. If the rate of
// a limit changes, a bucket keeps the time that it takes to be full again, or that of the new burst
// if it is shorter. If the clock is set back, a bucket is full again in the time of the burst at
// most.
//
// The key of a bucket is the prefix, "limit:" and a hash of the limit's name and key: nobody outside
// chooses its length or its slot in a cluster, and Redis holds no address of a client. The key expires
// when its bucket is full. A value there that is not a bucket counts as an empty one.
//
// A bucket that Redis has lost is full again: with a restart, a failover to a replica that is behind, a
// ring that goes on without a shard, or the eviction of keys. Redis should evict none
// (maxmemory-policy noeviction, which is its default): else a flood of keys could reset a limit. If it
// is full then, calls fail.
//
// A call that failed may have been counted: go-redis may send a script again, and the answer to one
// that was executed may be lost.
type Buckets struct {
	server *server
	take   *goredis.Script
}

//go:embed take.lua
var takeScript string

// NewBuckets returns buckets in the Redis of s. What is wrong with s is a fault: see [Buckets.Fault].
func NewBuckets(s Spec) *Buckets {
	return &Buckets{server: newServer(s, s.fault()), take: goredis.NewScript(takeScript)}
}

// Fault returns what is wrong with the spec, or nil. A limit that the buckets are given to shows it
// in its plan.
func (b *Buckets) Fault() error { return b.server.fault }

// Mark says that the buckets are part of sluice, and return when their time is over.
func (b *Buckets) Mark() mark.Type { return mark.TypeOf[*Buckets]() }

// Waits returns how long [Buckets.Take] takes at most; a negative time is no limit.
func (b *Buckets) Waits() time.Duration { return b.server.Timeout }

// Take takes a call from the bucket of a key; see policy.Buckets. Its error wraps [ErrPaused] if
// Redis was not asked, and is that of ctx if ctx has ended.
func (b *Buckets) Take(ctx context.Context, key string, r policy.Rate) (policy.Grant, error) {
	c, err := newCells(r)
	if err != nil {
		return policy.Grant{}, err
	}
	return ask(ctx, b.server, func(ctx context.Context) (policy.Grant, error) {
		reply, err := b.take.Run(ctx, b.server.Client, []string{b.key(key)}, c.args()...).Int64Slice()
		if err != nil {
			return policy.Grant{}, err
		}
		return c.grant(reply)
	})
}

func (b *Buckets) key(key string) string { return b.server.key("limit:", key) }

// Cells are a rate in whole numbers. A call takes a time of which a burst of calls fits into most;
// both are in parts, of which unit are a microsecond.
type cells struct{ cost, most, unit uint64 }

const (
	maxEvents = 1 << 42                  // so that 1000 of them can be counted in a float64
	maxMicros = math.MaxInt64 / 4 / 1000 // 73 years: with those since 1970, no 2^53
	perMicro  = uint64(time.Microsecond) // nanoseconds
)

var errReply = errors.New("the script has answered something else than a bucket")

func newCells(r policy.Rate) (cells, error) {
	if r.Events < 1 || r.Per < 1 || r.Burst < 1 || int64(r.Events) > maxEvents {
		return cells{}, fmt.Errorf("redis: %d events in %v with a burst of %d are no rate", r.Events, r.Per, r.Burst)
	}
	per, parts := uint64(r.Per), uint64(r.Events)*perMicro
	common := gcd(per, parts)
	c := cells{cost: per / common, unit: parts / common}
	over, most := bits.Mul64(uint64(r.Burst), c.cost)
	if c.most = most; over > 0 || c.most/c.unit > maxMicros {
		return cells{}, fmt.Errorf("redis: a burst of %d takes more than 73 years to come back", r.Burst)
	}
	return c, nil
}

func gcd(a, b uint64) uint64 {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

func (c cells) args() []any {
	return []any{c.cost / c.unit, c.cost % c.unit, c.most / c.unit, c.most % c.unit, c.unit}
}

// grant returns what the answer of the script says.
func (c cells) grant(reply []int64) (policy.Grant, error) {
	if len(reply) != 3 || reply[1] < 0 || reply[1] > maxMicros || reply[2] < 0 || uint64(reply[2]) >= c.unit {
		return policy.Grant{}, errReply
	}
	debt := uint64(reply[1])*c.unit + uint64(reply[2])
	if debt > c.most {
		return policy.Grant{}, errReply
	}
	g := policy.Grant{OK: reply[0] == 1, Remaining: int((c.most - debt) / c.cost), Full: c.time(debt)}
	if g.Remaining == 0 {
		g.After = c.time(debt + c.cost - c.most)
	}
	return g, nil
}

// time returns so many parts as a time, rounded up.
func (c cells) time(parts uint64) time.Duration {
	over, nanos := bits.Mul64(parts, perMicro)
	t, rest := bits.Div64(over, nanos, c.unit)
	if rest > 0 {
		t++
	}
	return time.Duration(t)
}
